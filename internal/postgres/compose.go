package postgres

import (
	"maps"
	"slices"
	"strings"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/manifest"
	"github.com/dittofs/function-dittoserver/internal/merge"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// A Composed is a PerconaPGCluster as it is sent, but for its record.
type Composed struct {
	Object map[string]any
	// Kept are the edits of the live cluster that are kept.
	Kept []string
	// Record is what is to be recorded of it.
	Record *record.Cluster
}

// Compose returns the PerconaPGCluster as it is sent: what is asked for, and the
// edits of the live cluster that are kept.
func Compose(s *server.Server, live observed.Object) (Composed, error) {
	cluster, err := manifest.Of(Cluster(s))
	if err != nil {
		return Composed{}, err
	}
	c := s.Cluster
	spec, _ := cluster["spec"].(map[string]any)
	spec = held(c, spec, live)
	cluster["spec"] = spec
	out := Composed{Object: cluster, Record: &record.Cluster{
		Asked:        c.Asked,
		Stated:       c.Stated,
		Initialized:  c.Initialized,
		Unused:       c.Unused,
		Volume:       c.Volume,
		BackupSecret: c.Backup.Secret,
		Spec:         spec,
	}}
	if live.Deleting() {
		meta, _ := cluster["metadata"].(map[string]any)
		keepFinalizers(meta, live)
	}
	// Nothing asks for a kept cluster any more, so there is nothing to revert to,
	// and a volume that somebody has grown cannot shrink.
	if !live.Exists() || !c.Kept && c.DriftPolicy == v1alpha1.DriftPolicyRevert {
		return out, nil
	}
	m := &merge.Merger{AskChanged: c.AskChanged, Newly: newly(c), Fixed: fixed(c, live)}
	var base map[string]any
	if c.Last != nil {
		base = c.Last.Spec
	}
	merged := m.Merge("spec", base, spec, live.Map("spec"))
	if more := addedDatabases(base, spec, live); len(more) > 0 {
		merged["users"] = withDatabases(merged["users"], more)
		m.Keep(pathDatabases)
	}
	cluster["spec"] = merged
	out.Kept = m.Kept()
	return out, nil
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

// held puts in place what stays although the spec does not ask for it any more:
// as it was rendered last time, or as it is where it never was.
func held(c *server.Cluster, spec map[string]any, live observed.Object) map[string]any {
	if c.Kept && c.Last != nil {
		out := maps.Clone(c.Last.Spec)
		// An upgrade of Percona's has changed these together.
		out["postgresVersion"], out["image"] = spec["postgresVersion"], spec["image"]
		out["backups"] = withImage(c.Last.Spec["backups"], c.Backup.Image)
		return out
	}
	if c.Backup.Mode != server.BackupHeld {
		return spec
	}
	out := maps.Clone(spec)
	var backups any = liveBackups(live)
	if c.Last != nil {
		backups = c.Last.Spec["backups"]
	}
	out["backups"] = withImage(backups, c.Backup.Image)
	return out
}

// liveBackups returns the parts of a cluster's backups that the function composes.
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

const (
	pathInstance = "spec.instances[" + names.InstanceSet + "]"

	pathUsers     = "spec.users"
	pathUser      = pathUsers + "[" + names.PostgresUser + "]"
	pathDatabases = pathUser + ".databases"

	pathPGBackRest = "spec.backups.pgbackrest"
	pathGlobal     = pathPGBackRest + ".global"
	pathRepository = pathPGBackRest + ".repos[" + Repository + "]"
)

// askedBy are the fields of a DittoServer's spec.percona that decide about fields
// of the cluster's spec.
var askedBy = map[string]string{ //nolint:gochecknoglobals // A constant.
	"spec.postgresVersion":                                 "postgresVersion",
	"spec.crVersion":                                       "crVersion",
	"spec.image":                                           "image",
	pathInstance + ".replicas":                             "replicas",
	pathInstance + ".resources":                            "resources",
	pathInstance + ".dataVolumeClaimSpec.resources":        "storageSize",
	pathInstance + ".dataVolumeClaimSpec.storageClassName": "storageClassName",
	"spec.backups.enabled":                                 "backup.enabled",
	pathPGBackRest + ".configuration":                      "backup.credentialsSecretRef",
	pathGlobal + "." + Repository + "-retention-full":      "backup.retentionDays",
	pathRepository + ".schedules.full":                     "backup.fullSchedule",
	pathRepository + ".schedules.incremental":              "backup.incrSchedule",
	pathRepository + ".s3.bucket":                          "backup.bucket",
	pathRepository + ".s3.endpoint":                        "backup.endpoint",
	pathRepository + ".s3.region":                          "backup.region",
}

// newly returns a function that reports whether the spec says something new about
// a field of the cluster. Of one that it does not ask for any more it says nothing.
func newly(c *server.Cluster) func(path string) bool {
	return func(path string) bool {
		if c.Kept {
			return false
		}
		for prefix, field := range askedBy {
			if path == prefix || strings.HasPrefix(path, prefix+".") {
				return c.NewlyAsked(field)
			}
		}
		return false
	}
}

// fixed returns a function that reports whether a field is not a person's to edit:
// it is where the data is, or of which version its files are. Nor can it be removed
// together with what it is in.
func fixed(c *server.Cluster, live observed.Object) func(path string) bool {
	major, known := server.ImageMajor(live.String("spec", "image"))
	return func(path string) bool {
		switch path {
		case "spec.image":
			return known && major != c.PostgresVersion
		case "spec.postgresVersion",
			pathUsers, pathUser, pathDatabases,
			pathInstance + ".dataVolumeClaimSpec.storageClassName",
			pathGlobal, pathGlobal + "." + Repository + "-path":
			return true
		}
		return false
	}
}

// addedDatabases returns the databases that a person has added to the live cluster.
// Ours stays first: Percona's Secret names the first one.
func addedDatabases(base, spec map[string]any, live observed.Object) []any {
	known := map[any]bool{}
	for _, s := range []map[string]any{base, spec} {
		for _, d := range databases(s["users"]) {
			known[d] = true
		}
	}
	var out []any
	for _, d := range live.Named(names.PostgresUser, "spec", "users").Strings("databases") {
		if !known[d] {
			known[d] = true
			out = append(out, d)
		}
	}
	return out
}

func databases(users any) []any {
	l, _ := users.([]any)
	for _, u := range l {
		if m, ok := u.(map[string]any); ok && m["name"] == names.PostgresUser {
			d, _ := m["databases"].([]any)
			return d
		}
	}
	return nil
}

func withDatabases(users any, more []any) []any {
	l, _ := users.([]any)
	out := slices.Clone(l)
	for i, u := range out {
		if m, ok := u.(map[string]any); ok && m["name"] == names.PostgresUser {
			m = maps.Clone(m)
			d, _ := m["databases"].([]any)
			m["databases"] = append(slices.Clone(d), more...)
			out[i] = m
		}
	}
	return out
}
