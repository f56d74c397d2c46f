package properties

// found are lives that went wrong on the version for which these rules were
// written, one or two of each class. They are led first, whatever the flags say
// of others. The seeds hold as long as the table of events stays as it is.
var found = []struct { //nolint:gochecknoglobals // A constant.
	class, rule string
	seeds       []uint64
}{
	{"a database is added by hand in front of the server's", "wrong database, percona to percona", []uint64{20260137, 20260149}},
	{"the same, before the pod has followed", "database by hand", []uint64{20260144}},
	{"the repository path is edited by hand", "path by hand", []uint64{20260132}},
	{"made again with another database name", "wrong database, percona to percona, made again", []uint64{20260260, 20260304}},
	{"made again with another version of PostgreSQL", "other binaries, made again", []uint64{20260116, 20260148}},
	{"made again on SQLite after Percona", "wrong database, percona to sqlite, made again", []uint64{20260226}},
	{"made again on Percona after SQLite", "wrong database, sqlite to percona, made again", []uint64{20260156}},
	{"made again on a database of somebody else's", "wrong database, percona to external, made again", []uint64{20260426}},
	{"confirmSwitch is left in the spec", "spent confirmation", []uint64{20260206, 20260476}},
	{"confirmRemoval is left in the spec", "spent confirmation of removal", []uint64{20260134, 20260382}},
	{"the Secret of an external database loses something", "weaker by going missing", []uint64{20260390, 20260485}},
	{"bytes in a Secret are no text", "refuses what is valid", []uint64{20261159}},
	{"a takeover ends where nobody is told of", "dead end", []uint64{20260150, 20260167}},
	{"a cluster of crVersion 2.8.0 is kept without a word", "crVersion not told", []uint64{20260245}},
	{"the DittoFS operator's finalizer stays", "finalizer not told", []uint64{20260109}},
	{"the spec names a Secret that does not exist", "names a Secret that is not there", []uint64{20260101}},
	{"the same, with the pod", "rolled into a pod that cannot start", []uint64{20260112}},
	{"the admin's Secret is deleted after the first start", "cannot start again", []uint64{20260224, 20261074}},
	{"an XR is bound to a claim of another name", "nothingDropped", []uint64{20260123}},
	{"the bucket's keys are rotated while Percona is held", "keys not rotated", []uint64{20260553}},
	{"a typo keeps a database from starting, and is held", "typo held", []uint64{20260404, 20260507}},
	{"a server is created on what is somebody else's", "runs on what is foreign", []uint64{20260474}},
	{"backups are switched by hand", "backups by hand", []uint64{20260175}},
	{"replicas are stated that a person has changed", "replicas not told", []uint64{20260519}},
	{"a Secret that the pod needs is gone, and something else is edited", "rolled into a pod that cannot start", []uint64{20260410}},
	{"the same with the Secret of a database", "rolled into a pod that cannot start", []uint64{20261208, 20261895}},
	{"the same with the administrator's, on the way to another database", "rolled into a pod that cannot start", []uint64{20260977}},
	{"a StatefulSet that cannot be changed is said to have moved", "switched", []uint64{20261671}},
	{"what is recorded is not written to a ConfigMap that is being deleted", "backups off", []uint64{20261022}},
	{"a volume is as old as the XR, to the second", "wrong database, sqlite to percona, made again", []uint64{20261077}},
	{"a Secret of a server that was taken over loses sslmode", "templateKept", []uint64{20261758}},
	{"a cluster that was taken over is given a storage class", "clusterKept", []uint64{20263602}},
	{"a volume that a person has grown, and a size that is stated later", "clusterKept", []uint64{20260205}},
	{"the warning of the admin's password after a switch", "admin password", []uint64{20260128, 20260239}},
}

// foundSeeds are the seeds of those lives, each once.
func foundSeeds() []uint64 {
	seen := map[uint64]bool{}
	var out []uint64
	for _, c := range found {
		for _, s := range c.seeds {
			if !seen[s] {
				out, seen[s] = append(out, s), true
			}
		}
	}
	return out
}
