package lifecycle

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dittofs/function-dittoserver/internal/render"
	"github.com/dittofs/function-dittoserver/internal/strict"
)

// A Cluster is what Percona's operator reports of a PerconaPGCluster.
// Source: percona-postgresql-operator v2.9.0 percona/controller/pgcluster/status.go.
type Cluster struct {
	// State in Percona's words; empty for one that the operator has not seen.
	State string
	// Size and Ready count pods that exist, and that are ready.
	Size, Ready int64
	// Generation of the spec that the operator says it has seen; 0 for the
	// current one.
	Generation int64
	// Backups says that the repository is there and the first backup complete.
	Backups bool
}

// States of a PerconaPGCluster.
const (
	StateInitializing = "initializing"
	StateReady        = "ready"
	StatePaused       = "paused"
	StateStopping     = "stopping"
)

// Kinds that the systems around a server look after.
const (
	kindCluster = "PerconaPGCluster"
	kindServer  = "StatefulSet"
)

// InstallOperator makes the CustomResourceDefinition of PerconaPGClusters.
func (w *World) InstallOperator() { w.define("perconapgclusters", "pgv2.percona.com") }

// InstallPrometheus makes the CustomResourceDefinition of ServiceMonitors.
func (w *World) InstallPrometheus() { w.define("servicemonitors", "monitoring.coreos.com") }

func (w *World) define(plural, group string) {
	w.Put(&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   map[string]any{"name": plural + "." + group},
		"spec":       map[string]any{"group": group},
		"status":     map[string]any{"conditions": []any{map[string]any{"type": "Established", "status": "True"}}},
	}})
}

// Instances is how many PostgreSQL instances the spec of the PerconaPGCluster
// asks for; 0 if there is none.
func (w *World) Instances() int64 {
	var n int64
	w.each(kindCluster, func(o *unstructured.Unstructured) {
		instances, _, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "instances")
		for _, i := range strict.Objects(instances) {
			replicas, _ := i["replicas"].(int64)
			n += replicas
		}
	})
	return n
}

// ReportCluster sets the status of the PerconaPGCluster.
func (w *World) ReportCluster(c Cluster) {
	w.each(kindCluster, func(o *unstructured.Unstructured) { report(o, c) })
}

func report(o *unstructured.Unstructured, c Cluster) {
	if c.State == "" {
		delete(o.Object, "status")
		return
	}
	generation := c.Generation
	if generation == 0 {
		generation = o.GetGeneration()
	}
	spec, _, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "instances")
	instances := make([]any, 0, len(strict.Objects(spec)))
	for _, i := range strict.Objects(spec) {
		instances = append(instances, map[string]any{"name": i["name"], "size": c.Size, "ready": c.Ready})
	}
	status := map[string]any{
		"state":              c.State,
		"observedGeneration": generation,
		"host":               fmt.Sprintf("%s-primary.%s.svc", o.GetName(), o.GetNamespace()),
		"postgres":           map[string]any{"size": c.Size, "ready": c.Ready, "instances": instances},
		"pgbouncer":          map[string]any{"size": int64(0), "ready": int64(0)},
	}
	if on, found, _ := unstructured.NestedBool(o.Object, "spec", "backups", "enabled"); on || !found {
		status["conditions"] = backupConditions(c.Backups)
	}
	o.Object["status"] = status
}

func backupConditions(done bool) []any {
	status, reason := render.StatusFalse, "RepoHostNotReady"
	if done {
		status, reason = render.StatusTrue, "Ready"
	}
	types := []string{"PGBackRestRepoHostReady", "PGBackRestReplicaRepoReady", "PGBackRestReplicaCreate"}
	out := make([]any, 0, len(types))
	for _, t := range types {
		out = append(out, map[string]any{
			"type": t, "status": status, "reason": reason, "message": "",
			"lastTransitionTime": creationTime.UTC().Format("2006-01-02T15:04:05Z"),
		})
	}
	return out
}

// MakeClusterSecrets makes the Secrets that Percona's operator makes of a
// PerconaPGCluster, long before it is ready: each user's credentials, and the
// certificate with its CA. What exists keeps its password, and is made to say
// what the spec says: the database that it names is the first of the user's.
// Source: percona-postgresql-operator v2.9.0
// internal/controller/postgrescluster/postgres.go and pki.go.
func (w *World) MakeClusterSecrets() {
	for _, k := range w.keysOf(kindCluster) {
		o := w.Peek(k)
		users, _, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "users")
		for _, u := range strict.Objects(users) {
			user, _ := u["name"].(string)
			databases, _ := u["databases"].([]any)
			name := o.GetName() + "-pguser-" + user
			had := w.Peek(Key{"v1", "Secret", o.GetNamespace(), name})
			data := credentials(o, user, cmp.Or(SecretValue(had, "password"), "not-a-password"), databases)
			if had == nil {
				w.makeSecret(o.GetNamespace(), name, data)
				continue
			}
			w.edit(KeyOf(had), ManagerPercona, func(o *unstructured.Unstructured) {
				encoded, _ := o.Object["data"].(map[string]any)
				if encoded == nil {
					encoded = map[string]any{}
					o.Object["data"] = encoded
				}
				for k, v := range data {
					encoded[k] = base64.StdEncoding.EncodeToString([]byte(v))
				}
			})
		}
		certificate := Key{"v1", "Secret", o.GetNamespace(), o.GetName() + "-cluster-cert"}
		if had := w.Peek(certificate); had != nil && SecretValue(had, "ca.crt") == "" {
			w.Remove(certificate)
		}
		w.makeSecret(o.GetNamespace(), certificate.Name, map[string]string{
			"ca.crt":  "a certificate of " + o.GetName(),
			"tls.crt": "a certificate of " + o.GetName(),
			"tls.key": "a private key",
		})
	}
}

func credentials(o *unstructured.Unstructured, user, password string, databases []any) map[string]string {
	host := fmt.Sprintf("%s-primary.%s.svc", o.GetName(), o.GetNamespace())
	port, _, _ := unstructured.NestedInt64(o.Object, "spec", "port")
	out := map[string]string{
		"host":     host,
		"port":     fmt.Sprint(port),
		"user":     user,
		"password": password,
		"verifier": "SCRAM-SHA-256$not-a-verifier",
	}
	if len(databases) > 0 {
		out["dbname"] = fmt.Sprint(databases[0])
		out["uri"] = fmt.Sprintf("postgresql://%s:%s@%s:%d/%s", user, password, host, port, databases[0])
		out["jdbc-uri"] = fmt.Sprintf("jdbc:postgresql://%s:%d/%s?password=%s&user=%s", host, port, databases[0], password, user)
	}
	return out
}

// MakeMissingSecrets makes the Secrets of the user's that the XR or the Input
// name and that do not exist, with everything in them that a Secret of a
// DittoServer may be asked for. It answers with their names.
func (w *World) MakeMissingSecrets() []string {
	wanted := map[string][]string{}
	secretRefs(w.xr.Object["spec"], wanted)
	if w.input != nil {
		secretRefs(w.input.AsMap(), wanted)
	}
	var made []string
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		data := map[string]string{
			"host": "postgres.example.com", "port": "5432", "database": "dittofs",
			"user": "dittofs", "password": "not-a-password",
			"AWS_ACCESS_KEY_ID": "not-a-key", "AWS_SECRET_ACCESS_KEY": "not-a-secret-key",
		}
		for _, key := range wanted[name] {
			if _, has := data[key]; !has {
				data[key] = "not-a-secret-of-32-characters-or-more"
			}
		}
		if w.makeSecret(w.serverNamespace(), name, data) {
			made = append(made, name)
		}
	}
	return made
}

// secretRefs collects, by name, the keys of all Secrets that v refers to.
func secretRefs(v any, into map[string][]string) {
	m, _ := v.(map[string]any)
	for f, child := range m {
		ref, ok := child.(map[string]any)
		if !ok {
			continue
		}
		name, _ := ref["name"].(string)
		if !strings.HasSuffix(strings.ToLower(f), "secretref") || name == "" {
			secretRefs(child, into)
			continue
		}
		keys := into[name]
		if key, _ := ref["key"].(string); key != "" {
			keys = append(keys, key)
		}
		into[name] = keys
	}
}

func (w *World) makeSecret(namespace, name string, data map[string]string) bool {
	encoded := make(map[string]any, len(data))
	for k, v := range data {
		encoded[k] = base64.StdEncoding.EncodeToString([]byte(v))
	}
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1",
		"kind":       "Secret",
		"metadata":   map[string]any{"namespace": namespace, "name": name},
		"type":       "Opaque",
		"data":       encoded,
	}}
	if w.objects[KeyOf(o)] != nil {
		return false
	}
	w.Put(o)
	return true
}

// serverNamespace is where the server's objects are: the XR's namespace, the
// claim's, or the one that the Input names.
func (w *World) serverNamespace() string {
	if ns := w.xr.GetNamespace(); ns != "" {
		return ns
	}
	if ns, _, _ := unstructured.NestedString(w.xr.Object, "spec", "claimRef", "namespace"); ns != "" {
		return ns
	}
	return w.input.GetFields()["namespace"].GetStringValue()
}

// ReportServer sets the status of the StatefulSet as its controller does when
// it has made all pods that are asked for, of which that many are ready.
func (w *World) ReportServer(ready int64) {
	w.each(kindServer, func(o *unstructured.Unstructured) { reportServer(o, ready) })
}

func reportServer(o *unstructured.Unstructured, ready int64) {
	replicas, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
	n := min(ready, replicas)
	status := map[string]any{
		"observedGeneration": o.GetGeneration(),
		"replicas":           replicas,
		"currentReplicas":    replicas,
		"updatedReplicas":    replicas,
		"availableReplicas":  n,
		"currentRevision":    o.GetName() + "-1",
		"updateRevision":     o.GetName() + "-1",
		"collisionCount":     int64(0),
	}
	if n > 0 {
		status["readyReplicas"] = n
	}
	o.Object["status"] = status
}

// GiveAddresses has the cloud give every Service of type LoadBalancer an
// address. They are of the range for documentation.
func (w *World) GiveAddresses() {
	n := 0
	w.each("Service", func(o *unstructured.Unstructured) {
		if isLoadBalancer(o) {
			n++
			ingress := []any{map[string]any{"ip": fmt.Sprintf("192.0.2.%d", n)}}
			o.Object["status"] = map[string]any{"loadBalancer": map[string]any{"ingress": ingress}}
		}
	})
}

// Pause sets spec.pause of the PerconaPGCluster, as a person does.
func (w *World) Pause(pause bool) {
	for _, k := range w.keysOf(kindCluster) {
		w.Edit(k, func(o *unstructured.Unstructured) {
			if !pause {
				unstructured.RemoveNestedField(o.Object, "spec", "pause")
				return
			}
			_ = unstructured.SetNestedField(o.Object, true, "spec", "pause")
		})
	}
}

func (w *World) keysOf(kind string) []Key {
	var out []Key
	for k := range w.objects {
		if k.Kind == kind {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, Key.compare)
	return out
}

// each has a controller change every object of a kind.
func (w *World) each(kind string, do func(o *unstructured.Unstructured)) {
	for _, k := range w.keysOf(kind) {
		w.edit(k, ManagerController, do)
	}
}
