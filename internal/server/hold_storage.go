package server

import (
	"cmp"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/internal/manifest"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
)

func podManagement(sts observed.Object) appsv1.PodManagementPolicyType {
	return appsv1.PodManagementPolicyType(cmp.Or(sts.String("spec", "podManagementPolicy"), string(appsv1.OrderedReadyPodManagement)))
}

// storage keeps the claim templates of a live StatefulSet, verbatim. They cannot
// be changed: the API server would refuse the whole object, and with it every
// other change.
func (h *holder) storage() {
	live := map[string]observed.Object{}
	for _, c := range h.live.List("spec", "volumeClaimTemplates") {
		live[c.Name()] = c
		m := c.Map()
		delete(m, "status")
		manifest.Prune(m)
		h.s.Storage.Claims = append(h.s.Storage.Claims, m)
	}
	if len(live) == 0 {
		return
	}

	const (
		fixed   = "the claim templates of a StatefulSet cannot be changed"
		grow    = fixed + ". To grow the volume, edit the PersistentVolumeClaim %s-%s-0; set the field back, or, to have new templates, delete the StatefulSet with --cascade=orphan"
		through = fixed + ". Set the field back, or, to have new templates, delete the StatefulSet with --cascade=orphan"
	)
	for _, v := range []struct {
		name, field string
		size        *resource.Quantity
	}{
		{names.VolumeMetadata, "storage.metadataSize", &h.s.Storage.Metadata},
		{names.VolumeContent, "storage.contentSize", h.s.Storage.Content},
		{names.VolumeControlPlane, "storage.controlPlaneSize", &h.s.Storage.ControlPlane},
	} {
		c, there := live[v.name]
		size := c.String("spec", "resources", "requests", "storage")
		have, err := resource.ParseQuantity(size)
		switch {
		case there && v.size == nil:
			h.hold(v.field, "its removal is held, the server has a volume of %s: "+through, size)
		case !there && v.size != nil:
			h.hold(v.field, "%s is held, the server has no such volume: "+through, v.size.String())
		case there && (err != nil || v.size.Cmp(have) != 0):
			h.hold(v.field, "%s is held at %s: "+grow, v.size.String(), size, v.name, h.s.Name)
		}
	}
	c, there := live[names.VolumeMetadata]
	if have := classOf(c.At("spec")); there && !sameClass(h.s.Storage.ClassName, have) {
		h.hold("storage.storageClassName", "%s is held at %s: "+through, class(h.s.Storage.ClassName), class(have))
	}
}

// classOf returns the storage class that a claim asks for, nil for the default one.
func classOf(claim observed.Object) *string {
	if !claim.Has("storageClassName") {
		return nil
	}
	return ptr.To(claim.String("storageClassName"))
}

// sameClass reports whether two claims ask for the same class. One that names none
// asks for the default class, one that names the empty one for no class.
func sameClass(a, b *string) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

func class(c *string) string {
	switch {
	case c == nil:
		return "the default class"
	case *c == "":
		return "no class"
	}
	return *c
}
