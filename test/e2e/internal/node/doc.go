// Package node stands in for a kubelet, faithfully where it matters for a
// workload: it takes pods as the API server has them and runs their containers
// as processes, with the programs of this machine in place of images.
//
// It knows nothing but what the API server tells: environment, volumes,
// commands, probes, hooks, users and grace periods are those of the pod. What a
// container is started with is resolved again at every start, and what cannot be
// resolved keeps it from starting, as it does on a cluster. What becomes of it is
// reported on the pod, and only there.
//
// Every pod has a network of its own, every container its own root folder and
// process ids. It needs root, and the namespaces of a control plane around it.
package node
