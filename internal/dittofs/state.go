package dittofs

import "github.com/dittofs/function-dittoserver/internal/observed"

// A State is the state of the server's StatefulSet.
type State struct {
	Exists bool
	// Replicas that the StatefulSet is told to have.
	Replicas  int32
	Ready     int32
	Available int32
	// Current is true if the StatefulSet controller has seen the latest spec and
	// every pod is made of it.
	Current bool
}

// Settled reports whether the server is what it is told to be.
func (s State) Settled(replicas int32) bool {
	return s.Exists && s.Current && s.Replicas == replicas && s.Ready == replicas
}

// ReadState reads the state of a StatefulSet, which may not exist.
func ReadState(sts observed.Object) State {
	if !sts.Exists() {
		return State{}
	}
	n := func(path ...string) int32 { return int32(sts.Int(path...)) } //nolint:gosec // 0 or 1.
	s := State{
		Exists:    true,
		Replicas:  1,
		Ready:     n("status", "readyReplicas"),
		Available: n("status", "availableReplicas"),
	}
	if sts.Has("spec", "replicas") {
		s.Replicas = n("spec", "replicas")
	}
	seen := sts.Int("status", "observedGeneration") >= sts.Int("metadata", "generation")
	s.Current = seen && n("status", "updatedReplicas") >= s.Replicas
	return s
}
