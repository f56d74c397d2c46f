package postgres

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/crossplane/function-sdk-go/errors"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/manifest"
	"github.com/dittofs/function-dittoserver/internal/merge"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// A Composed is a PerconaPGCluster as it is sent.
type Composed struct {
	Object *structpb.Struct
	// Kept are the edits of the live cluster that are kept.
	Kept []string
	// Record is what the spec and the Input alone ask for, to be recorded.
	Record string
}

// Compose is the PerconaPGCluster as it is sent: what is asked for, the record
// of that, and the edits of the live cluster that are kept.
func Compose(s *server.Server, live observed.Object) (Composed, error) {
	cluster, err := manifest.Of(Cluster(s))
	if err != nil {
		return Composed{}, err
	}
	var base server.Rendered
	if s.Cluster.Base != nil {
		base = *s.Cluster.Base
	}
	spec, _ := cluster["spec"].(map[string]any)
	spec = hold(s.Cluster, spec, live)
	cluster["spec"] = spec

	record, err := json.Marshal(server.Rendered{Ask: s.Cluster.Ask, Stated: s.Cluster.Stated, Spec: spec})
	if err != nil {
		return Composed{}, errors.Wrap(err, "cannot record the rendered PerconaPGCluster")
	}
	meta, _ := cluster["metadata"].(map[string]any)
	if live.Deleting() {
		keepFinalizers(meta, live)
	}
	annotations, _ := meta["annotations"].(map[string]any)
	if annotations == nil {
		annotations = map[string]any{}
		meta["annotations"] = annotations
	}
	annotations[names.AnnotationRendered] = string(record)

	out := Composed{Record: string(record)}
	// Nothing asks for a kept cluster any more, so there is nothing to revert to,
	// and a volume that somebody has grown cannot shrink.
	if live.Exists() && (s.Cluster.Kept || s.Cluster.DriftPolicy != v1alpha1.DriftPolicyRevert) {
		m := &merge.Merger{AskChanged: base.Ask != s.Cluster.Ask, Stated: stated(s.Cluster.States)}
		cluster["spec"] = m.Merge("spec", base.Spec, spec, live.Map("spec"))
		out.Kept = m.Kept()
	}
	out.Object, err = structpb.NewStruct(cluster)
	return out, errors.Wrap(err, "cannot convert the PerconaPGCluster")
}

// keepFinalizers leaves of our finalizers those that are there still: the API
// server refuses new ones on an object that is being deleted, and Percona's
// operator takes away each one that it is done with.
func keepFinalizers(meta map[string]any, live observed.Object) {
	ours, _ := meta["finalizers"].([]any)
	there := live.Strings("metadata", "finalizers")
	ours = slices.DeleteFunc(ours, func(f any) bool { return !slices.Contains(there, f.(string)) })
	meta["finalizers"] = ours
	if len(ours) == 0 {
		delete(meta, "finalizers")
	}
}

// hold puts in place what stays although the spec does not ask for it any more:
// as it was rendered last time, or as it is where it never was.
func hold(c server.Cluster, spec map[string]any, live observed.Object) map[string]any {
	base := c.Base
	if c.Kept && base != nil {
		out := maps.Clone(base.Spec)
		// An upgrade of Percona's has changed these together.
		out["postgresVersion"], out["image"] = spec["postgresVersion"], spec["image"]
		out["backups"] = withImage(base.Spec["backups"], c.Backup.Image)
		return out
	}
	if !c.Backup.Kept {
		return spec
	}
	out := maps.Clone(spec)
	out["backups"] = withImage(liveBackups(live), c.Backup.Image)
	if base == nil {
		return out
	}
	if b, ok := base.Spec["backups"].(map[string]any); ok && b["enabled"] == true {
		out["backups"] = withImage(b, c.Backup.Image)
	}
	return out
}

// liveBackups are the parts of a cluster's backups that the function composes.
func liveBackups(live observed.Object) map[string]any {
	all := live.Map("spec", "backups", "pgbackrest")
	pgbackrest := map[string]any{}
	for _, k := range []string{"image", "configuration", "global", "repos"} {
		if v, ok := all[k]; ok {
			pgbackrest[k] = v
		}
	}
	return map[string]any{"enabled": true, "pgbackrest": pgbackrest}
}

func withImage(backups any, image string) map[string]any {
	b, _ := backups.(map[string]any)
	out := maps.Clone(b)
	if out == nil {
		out = map[string]any{"enabled": false}
	}
	p, _ := out["pgbackrest"].(map[string]any)
	p = maps.Clone(p)
	if p == nil {
		p = map[string]any{}
	}
	p["image"] = image
	out["pgbackrest"] = p
	return out
}

// stated says which fields of the cluster's spec the XR or the Input state.
func stated(s server.States) func(path string) bool {
	instance := "spec.instances[" + names.InstanceSet + "]"
	prefixes := map[string]bool{
		"spec.postgresVersion":                             s.PostgresVersion,
		"spec.crVersion":                                   s.CRVersion,
		"spec.image":                                       s.Image,
		instance + ".replicas":                             s.Replicas,
		instance + ".resources":                            s.Resources,
		instance + ".dataVolumeClaimSpec.resources":        s.StorageSize,
		instance + ".dataVolumeClaimSpec.storageClassName": s.StorageClassName,
		"spec.users[" + names.PostgresUser + "].databases": s.Databases,
		"spec.backups":                                     s.Backup,
	}
	maps.DeleteFunc(prefixes, func(_ string, on bool) bool { return !on })
	return func(path string) bool {
		for p := range prefixes {
			if path == p || strings.HasPrefix(path, p+".") {
				return true
			}
		}
		return false
	}
}
