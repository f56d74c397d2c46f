package lifecycle

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/internal/strict"
)

// Files are what the volumes of a PerconaPGCluster hold. They outlive it, and
// one of the same name takes them up again.
type Files struct {
	// Major is the PostgreSQL version that initialised them.
	Major int64
	// Databases are those that exist in them.
	Databases []string
}

// A Pod is a server that runs, or ran last.
type Pod struct {
	// On is the place where it keeps its data, "percona:NS/CLUSTER/DATABASE",
	// "sqlite:NS/CLAIM:PATH" or "external:HOST:PORT/DATABASE".
	On string
	// Fresh reports that nothing was there when it started: it began with an
	// empty database.
	Fresh bool
	// Blocked is why the newest pod cannot start; the one before is gone.
	Blocked string
	// Template that it was started from.
	Template map[string]any
	// Environment is what the pod read of Secrets and files when it started.
	Environment string
}

// Files returns what the volumes of a PerconaPGCluster hold, nil if it has none.
func (w *World) Files(namespace, cluster string) *Files {
	return w.files[Key{Kind: kindCluster, Namespace: namespace, Name: cluster}]
}

// Pod returns the pod of a StatefulSet.
func (w *World) Pod(namespace, name string) (Pod, bool) {
	p, ok := w.pods[Key{Kind: kindServer, Namespace: namespace, Name: name}]
	return p, ok
}

// HasData reports whether a server has written its data at a place.
func (w *World) HasData(place string) bool { return w.data[place] }

// WriteData has a server's data be at a place, as of a server that ran there
// before this life began.
func (w *World) WriteData(place string) { w.data[place] = true }

// InitFiles has the volumes of a PerconaPGCluster be there.
func (w *World) InitFiles(namespace, cluster string, f Files) {
	w.files[Key{Kind: kindCluster, Namespace: namespace, Name: cluster}] = &f
}

// gone is what becomes of the data when an object is removed.
func (w *World) gone(o *unstructured.Unstructured) {
	switch o.GetKind() {
	case kindServer:
		delete(w.pods, dataKey(o))
	case kindCluster:
		// Percona's operator deletes the volumes, and the users' Secrets with
		// them, if the finalizer says so.
		// Source: percona-postgresql-operator v2.9.0 percona/controller/pgcluster/finalizer.go.
		if !slices.Contains(o.GetFinalizers(), "percona.com/delete-pvc") {
			return
		}
		delete(w.files, dataKey(o))
		w.forgetData("percona:" + o.GetNamespace() + "/" + o.GetName() + "/")
		for _, k := range w.Keys() {
			secret := k.Kind == "Secret" && strings.HasPrefix(k.Name, o.GetName()+"-pguser-")
			claim := k.Kind == kindClaim && w.objects[k].obj.GetLabels()[labelCluster] == o.GetName()
			if k.Namespace == o.GetNamespace() && (secret || claim) {
				w.Remove(k)
			}
		}
	case kindClaim:
		w.forgetData("sqlite:" + o.GetNamespace() + "/" + o.GetName() + ":")
		if c := o.GetLabels()[labelCluster]; c != "" {
			delete(w.files, Key{Kind: kindCluster, Namespace: o.GetNamespace(), Name: c})
			w.forgetData("percona:" + o.GetNamespace() + "/" + c + "/")
		}
	}
}

func (w *World) forgetData(prefix string) {
	for place := range w.data {
		if strings.HasPrefix(place, prefix) {
			delete(w.data, place)
		}
	}
}

func dataKey(o *unstructured.Unstructured) Key {
	return Key{Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()}
}

const (
	kindClaim    = "PersistentVolumeClaim"
	labelCluster = "postgres-operator.crunchydata.com/cluster"
)

var imageTagMajor = regexp.MustCompile(`:([0-9]{2})[.-]`)

// PerconaReconciles does what Percona's operator does with each cluster: it
// makes Secrets and volumes, creates databases, and reports. It returns, by the
// cluster's name, why it is not ready; nothing for one that is.
// Source: percona-postgresql-operator v2.9.0 percona/controller/pgcluster and
// internal/controller/postgrescluster.
func (w *World) PerconaReconciles() map[string]string {
	out := map[string]string{}
	for _, k := range w.keysOf(kindCluster) {
		o := w.Peek(k)
		if o.GetDeletionTimestamp() != nil {
			// The finalizers are Percona's own.
			if !slices.ContainsFunc(o.GetFinalizers(), func(f string) bool { return !strings.Contains(f, "percona.com/") }) {
				w.Remove(k)
			}
			continue
		}
		why := w.perconaReconciles(o)
		out[k.Name] = why
	}
	return out
}

func (w *World) perconaReconciles(o *unstructured.Unstructured) string {
	spec, _ := o.Object["spec"].(map[string]any)
	if spec == nil {
		return "it has no spec"
	}
	if !w.serves(o.GetAPIVersion(), o.GetKind()) {
		return "the operator is not installed"
	}
	initializing := func(why string) string {
		w.setStatus(o, StateInitializing, 0)
		return why
	}
	if missing := missingImages(spec); missing != "" {
		return initializing("Missing image(s): " + missing)
	}
	backups, _, _ := unstructured.NestedMap(spec, "backups")
	on, stated := backups["enabled"].(bool)
	on = on || !stated
	had, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	_, authorized := o.GetAnnotations()["pgv2.percona.com/authorizeBackupRemoval"]
	if !on && len(had) > 0 && !authorized {
		return "paused: backups were switched off without authorization"
	}
	k := dataKey(o)
	if credentials := (Key{APIVersion: "v1", Kind: "Secret", Namespace: o.GetNamespace(), Name: o.GetName() + "-pguser-dittofs"}); w.files[k] == nil && w.Peek(credentials) == nil {
		// The operator makes the Secrets in its first reconcile, before there are
		// pods: see the facts beside names.ClusterCredentials.
		w.MakeClusterSecrets()
		return initializing("its pods are being created")
	}
	w.MakeClusterSecrets()
	major, _ := spec["postgresVersion"].(int64)
	if w.files[k] == nil {
		instances := strict.Objects(spec["instances"])
		if len(instances) == 0 {
			return initializing("no instances")
		}
		class, named, _ := unstructured.NestedString(instances[0], "dataVolumeClaimSpec", "storageClassName")
		if named && w.Classes != nil && !slices.Contains(w.Classes, class) {
			return initializing("its volume waits for storage class " + class)
		}
		if tag := imageMajor(spec); tag != 0 && tag != major {
			return initializing("its image is of another version")
		}
		w.files[k] = &Files{Major: major}
		w.Put(&unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": kindClaim,
			"metadata": map[string]any{
				"name": o.GetName() + "-instance1-x7k2-pgdata", "namespace": o.GetNamespace(),
				"labels": map[string]any{labelCluster: o.GetName(), "postgres-operator.crunchydata.com/role": "pgdata"},
			},
			"spec":   runtimeCopy(instances[0]["dataVolumeClaimSpec"]),
			"status": map[string]any{"phase": "Bound"},
		}})
	}
	f := w.files[k]
	if tag := cmp.Or(imageMajor(spec), major); tag != f.Major || major != f.Major {
		return initializing(fmt.Sprintf("binaries of PostgreSQL %d on the files of %d", tag, f.Major))
	}
	for _, u := range strict.Objects(spec["users"]) {
		databases, _ := u["databases"].([]any)
		for _, d := range databases {
			if name := fmt.Sprint(d); !slices.Contains(f.Databases, name) {
				f.Databases = append(slices.Clone(f.Databases), name)
			}
		}
	}
	if paused, _ := spec["pause"].(bool); paused {
		w.setStatus(o, StatePaused, 0)
		return "it is paused"
	}
	w.setStatus(o, StateReady, w.instancesOf(o))
	return ""
}

// PerconaUpgrades upgrades the files and the spec as a PerconaPGUpgrade does.
func (w *World) PerconaUpgrades(k Key, major int64, image, backupImage string) bool {
	f := w.files[Key{Kind: kindCluster, Namespace: k.Namespace, Name: k.Name}]
	if f == nil || f.Major >= major {
		return false
	}
	f.Major = major
	return w.edit(k, ManagerPercona, func(o *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(o.Object, major, "spec", "postgresVersion")
		_ = unstructured.SetNestedField(o.Object, image, "spec", "image")
		_ = unstructured.SetNestedField(o.Object, backupImage, "spec", "backups", "pgbackrest", "image")
	})
}

func runtimeCopy(v any) any {
	m, _ := v.(map[string]any)
	return (&unstructured.Unstructured{Object: map[string]any{"v": m}}).DeepCopy().Object["v"]
}

func (w *World) instancesOf(o *unstructured.Unstructured) int64 {
	var n int64
	instances, _, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "instances")
	for _, i := range strict.Objects(instances) {
		replicas, _ := i["replicas"].(int64)
		n += replicas
	}
	return n
}

func (w *World) setStatus(o *unstructured.Unstructured, state string, n int64) {
	w.edit(KeyOf(o), ManagerPercona, func(o *unstructured.Unstructured) {
		report(o, Cluster{State: state, Size: n, Ready: n, Backups: state == StateReady})
	})
}

func imageMajor(spec map[string]any) int64 {
	image, _ := spec["image"].(string)
	m := imageTagMajor.FindStringSubmatch(image)
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseInt(m[1], 10, 64)
	return n
}

// missingImages are those without which the operator does nothing.
// Source: percona-postgresql-operator v2.9.0 internal/config/config.go.
func missingImages(spec map[string]any) string {
	var missing []string
	if s, _ := spec["image"].(string); s == "" {
		missing = append(missing, "crunchy-postgres")
	}
	if s, _, _ := unstructured.NestedString(spec, "backups", "pgbackrest", "image"); s == "" {
		missing = append(missing, "crunchy-pgbackrest")
	}
	cr, _ := spec["crVersion"].(string)
	if v, err := version.ParseSemantic(cr); err == nil && v.LessThan(version.MustParseSemantic("2.9.0")) {
		if s, _, _ := unstructured.NestedString(spec, "proxy", "pgBouncer", "image"); s == "" {
			missing = append(missing, "crunchy-pgbouncer")
		}
	}
	return strings.Join(missing, ", ")
}

// PodsStart does what the StatefulSet controller and the kubelet do: it makes
// the claims, replaces pods whose template has changed, and starts those that
// can. With restart it replaces all pods.
func (w *World) PodsStart(restart bool) {
	for _, k := range w.keysOf(kindServer) {
		sts := w.Peek(k)
		if sts.GetDeletionTimestamp() != nil {
			continue
		}
		w.makeClaims(sts)
		replicas, _, _ := unstructured.NestedInt64(sts.Object, "spec", "replicas")
		if replicas == 0 {
			delete(w.pods, dataKey(sts))
			w.serverStatus(k, 0, true)
			continue
		}
		template, _, _ := unstructured.NestedMap(sts.Object, "spec", "template")
		last, runs := w.pods[dataKey(sts)]
		updated := true
		if partition, _, _ := unstructured.NestedInt64(sts.Object, "spec", "updateStrategy", "rollingUpdate", "partition"); runs && partition >= replicas {
			// The pod stays what it is, and is made again as it was.
			updated = equality.Semantic.DeepEqual(last.Template, template)
			template = last.Template
		}
		if runs && !restart && last.Blocked == "" && equality.Semantic.DeepEqual(last.Template, template) {
			w.serverStatus(k, 1, updated)
			continue
		}
		pod := w.start(sts, template)
		if pod.Blocked != "" {
			pod.On, pod.Fresh = last.On, false
			w.pods[dataKey(sts)] = pod
			w.serverStatus(k, 0, updated)
			continue
		}
		pod.Fresh = !w.data[pod.On]
		w.data[pod.On] = true
		w.pods[dataKey(sts)] = pod
		w.serverStatus(k, 1, updated)
	}
}

// serverStatus reports that many ready pods, which are of the latest template or of
// the one before.
func (w *World) serverStatus(k Key, ready int64, updated bool) {
	w.edit(k, ManagerController, func(o *unstructured.Unstructured) {
		reportServer(o, ready)
		if status, ok := o.Object["status"].(map[string]any); ok && !updated {
			status["updatedReplicas"], status["currentRevision"] = int64(0), o.GetName()+"-0"
		}
	})
}

// makeClaims makes the claims of the first pod. They stay when the StatefulSet
// is deleted.
// Source: k8s.io/kubernetes v1.34 pkg/controller/statefulset/stateful_set_utils.go, getPersistentVolumeClaims.
func (w *World) makeClaims(sts *unstructured.Unstructured) {
	templates, _, _ := unstructured.NestedSlice(sts.Object, "spec", "volumeClaimTemplates")
	labels, _, _ := unstructured.NestedStringMap(sts.Object, "spec", "selector", "matchLabels")
	for _, t := range strict.Objects(templates) {
		o := &unstructured.Unstructured{Object: t}
		o.SetAPIVersion("v1")
		o.SetKind(kindClaim)
		o.SetName(o.GetName() + "-" + sts.GetName() + "-0")
		o.SetNamespace(sts.GetNamespace())
		o.SetLabels(labels)
		o.Object["status"] = map[string]any{"phase": "Bound"}
		if w.objects[KeyOf(o)] == nil {
			w.Put(o)
		}
	}
}

// start returns the pod that a template makes: where it keeps its data, or why
// it cannot start.
func (w *World) start(sts *unstructured.Unstructured, template map[string]any) Pod {
	p := Pod{Template: template}
	ns := sts.GetNamespace()
	spec, _ := template["spec"].(map[string]any)
	config := map[string]any{}
	for _, v := range strict.Objects(spec["volumes"]) {
		if name, found, _ := unstructured.NestedString(v, "configMap", "name"); found {
			cm := w.Peek(Key{"v1", "ConfigMap", ns, name})
			if cm == nil {
				p.Blocked = "ConfigMap " + name + " does not exist"
				return p
			}
			text, _, _ := unstructured.NestedString(cm.Object, "data", "config.yaml")
			_ = yaml.Unmarshal([]byte(text), &config)
		}
		name, found, _ := unstructured.NestedString(v, "secret", "secretName")
		if optional, _, _ := unstructured.NestedBool(v, "secret", "optional"); !found || optional {
			continue
		}
		items, _, _ := unstructured.NestedSlice(v, "secret", "items")
		s := w.Peek(Key{"v1", "Secret", ns, name})
		if s == nil {
			p.Blocked = "Secret " + name + " does not exist"
			return p
		}
		for _, i := range strict.Objects(items) {
			if key, _ := i["key"].(string); SecretValue(s, key) == "" {
				p.Blocked = fmt.Sprintf("Secret %s has no key %s", name, key)
				return p
			}
		}
	}
	env := map[string]string{}
	for _, list := range []string{"initContainers", "containers"} {
		for _, c := range strict.Objects(spec[list]) {
			for _, e := range strict.Objects(c["env"]) {
				name, _ := e["name"].(string)
				v, _ := e["value"].(string)
				ref, found, _ := unstructured.NestedMap(e, "valueFrom", "secretKeyRef")
				if found {
					secret, _ := ref["name"].(string)
					key, _ := ref["key"].(string)
					s := w.Peek(Key{"v1", "Secret", ns, secret})
					if !hasKey(s, key) {
						if optional, _ := ref["optional"].(bool); optional {
							continue
						}
						p.Blocked = fmt.Sprintf("env %s: Secret %s has no key %s", name, secret, key)
						return p
					}
					v = SecretValue(s, key)
				}
				if list == "containers" {
					env[name] = v
				}
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		p.Environment += k + "=" + env[k] + "\n"
	}
	if why := refuses(config, w.mounted(ns, spec)); why != "" {
		p.Blocked = why
		return p
	}
	kind := env["DITTOFS_DATABASE_TYPE"]
	if kind == "" {
		kind, _, _ = unstructured.NestedString(config, "database", "type")
	}
	host := env["DITTOFS_DATABASE_POSTGRES_HOST"]
	if kind != "postgres" {
		path := env["DITTOFS_DATABASE_SQLITE_PATH"]
		if path == "" {
			path, _, _ = unstructured.NestedString(config, "database", "sqlite", "path")
		}
		path = cmp.Or(path, "/data/controlplane/controlplane.db")
		claim := "controlplane"
		if strings.HasPrefix(path, "/data/store/metadata/") {
			claim = "metadata"
		} else if strings.HasPrefix(path, "/data/store/block/") {
			claim = "content"
		}
		p.On = fmt.Sprintf("sqlite:%s/%s-%s-0:%s", ns, claim, sts.GetName(), path)
		return p
	}
	database := env["DITTOFS_DATABASE_POSTGRES_DATABASE"]
	cluster, local := strings.CutSuffix(host, "-primary."+ns+".svc")
	if !local {
		p.On = fmt.Sprintf("external:%s:%s/%s", host, cmp.Or(env["DITTOFS_DATABASE_POSTGRES_PORT"], "5432"), database)
		return p
	}
	f := w.Files(ns, cluster)
	o := w.Peek(Key{"pgv2.percona.com/v2", kindCluster, ns, cluster})
	switch {
	case o == nil || f == nil:
		p.Blocked = "no PostgreSQL at " + host
	case !slices.Contains(f.Databases, database):
		p.Blocked = fmt.Sprintf("database %q does not exist at %s", database, host)
	}
	p.On = "percona:" + ns + "/" + cluster + "/" + database
	return p
}

// SecretValue returns a value of a Secret, decoded; empty if it has none.
func SecretValue(s *unstructured.Unstructured, key string) string {
	if s == nil {
		return ""
	}
	encoded, _, _ := unstructured.NestedString(s.Object, "data", key)
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return ""
	}
	return string(b)
}

// hasKey reports whether a Secret has a key, whatever lies at it.
func hasKey(s *unstructured.Unstructured, key string) bool {
	if s == nil {
		return false
	}
	_, found, _ := unstructured.NestedFieldNoCopy(s.Object, "data", key)
	return found
}
