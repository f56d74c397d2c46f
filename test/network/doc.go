// Package network judges the NetworkPolicies that are composed for a server: which
// connections they let through, by a library that evaluates NetworkPolicies. It is a
// module of its own for the sake of that library, which brings many others.
package network
