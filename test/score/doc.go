// Package score has kube-score judge what is composed for the examples, and holds the
// answer to each of its findings. It is a module of its own for the sake of that program.
//
// Run it with -count=1: Go's cache does not see that files of another module changed.
package score
