package server

import (
	"strings"

	"github.com/dittofs/function-dittoserver/internal/strict"
)

// notEnabled warns of blocks in which the XR says something, and nobody says whether
// they are enabled: they look as if they were. An explicit false is a decision, and what
// the platform's defaults say is for the servers that have it enabled.
func (v *validator) notEnabled() {
	for _, path := range []string{"percona", "percona.backup", "metrics", "networkPolicy", pathLDAP, pathKerberos} {
		own, _ := strict.Lookup(v.spec.own, strings.Split(path, ".")).(map[string]any)
		said := 0
		for k, value := range own {
			if value != nil && k != "switchedOff" {
				said++
			}
		}
		if said > 0 && v.spec.decoded(path) && !v.spec.States(path+".enabled") {
			v.warn(path, "has no effect, since it is not enabled: set %[1]s.enabled to true, or to false if that is meant", v.spec.Path(path))
		}
	}
}
