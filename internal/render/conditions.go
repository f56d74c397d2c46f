package render

import (
	"slices"

	"github.com/crossplane/crossplane-runtime/v2/pkg/resource"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Condition types that are Crossplane's own: a function's are ignored.
// Source: crossplane/apis v2.3.4 apiextensions/v1/conditions.go.
var systemConditions = []string{TypeReady, TypeSynced, "Healthy", "UpToDate", "Responsive"} //nolint:gochecknoglobals // A constant.

// Conditions that Crossplane sets on an XR.
const (
	TypeReady  = "Ready"
	TypeSynced = "Synced"
)

// Statuses of a condition.
const (
	StatusTrue    = "True"
	StatusFalse   = "False"
	StatusUnknown = "Unknown"
)

// conditionTime stands for the time, which would only be noise in a preview.
const conditionTime = "2024-01-01T00:00:00Z"

// A Condition of an XR.
type Condition struct {
	Type    string
	Status  string
	Reason  string
	Message string
}

// ReadyCondition is what Crossplane concludes of an answer.
func ReadyCondition(desired *fnv1.State) Condition {
	available := Condition{Type: TypeReady, Status: StatusTrue, Reason: "Available"}
	creating := Condition{Type: TypeReady, Status: StatusFalse, Reason: "Creating"}
	switch desired.GetComposite().GetReady() {
	case fnv1.Ready_READY_TRUE:
		return available
	case fnv1.Ready_READY_FALSE:
		return creating
	case fnv1.Ready_READY_UNSPECIFIED:
	}
	var unready []string
	for name, r := range desired.GetResources() {
		if r.GetReady() != fnv1.Ready_READY_TRUE {
			unready = append(unready, name)
		}
	}
	if len(unready) == 0 {
		return available
	}
	creating.Message = "Unready resources: " + resource.StableNAndSomeMore(resource.DefaultFirstN, unready)
	return creating
}

// Conditions are those that a function may set, in the order in which it did.
func Conditions(rsp *fnv1.RunFunctionResponse) []Condition {
	out := make([]Condition, 0, len(rsp.GetConditions()))
	for _, c := range rsp.GetConditions() {
		if slices.Contains(systemConditions, c.GetType()) {
			continue
		}
		status := StatusUnknown
		switch c.GetStatus() {
		case fnv1.Status_STATUS_CONDITION_TRUE:
			status = StatusTrue
		case fnv1.Status_STATUS_CONDITION_FALSE:
			status = StatusFalse
		case fnv1.Status_STATUS_CONDITION_UNKNOWN, fnv1.Status_STATUS_CONDITION_UNSPECIFIED:
		}
		out = append(out, Condition{Type: c.GetType(), Status: status, Reason: c.GetReason(), Message: c.GetMessage()})
	}
	return out
}

// IsSystem reports whether the condition is Crossplane's own.
func (c Condition) IsSystem() bool { return slices.Contains(systemConditions, c.Type) }

// GetConditions are the conditions in an XR's status.
func GetConditions(xr *unstructured.Unstructured) []Condition {
	list, _, _ := unstructured.NestedSlice(xr.Object, "status", "conditions")
	out := make([]Condition, 0, len(list))
	for _, e := range list {
		m, _ := e.(map[string]any)
		str := func(k string) string { s, _ := m[k].(string); return s }
		out = append(out, Condition{Type: str("type"), Status: str("status"), Reason: str("reason"), Message: str("message")})
	}
	return out
}

// SetConditions puts conditions into an XR's status. One of a type that is
// there already replaces it.
func SetConditions(xr *unstructured.Unstructured, cs ...Condition) {
	all := GetConditions(xr)
	for _, c := range cs {
		if i := slices.IndexFunc(all, func(o Condition) bool { return o.Type == c.Type }); i >= 0 {
			all[i] = c
			continue
		}
		all = append(all, c)
	}
	list := make([]any, 0, len(all))
	for _, c := range all {
		m := map[string]any{
			"type":               c.Type,
			"status":             c.Status,
			"reason":             c.Reason,
			"lastTransitionTime": conditionTime,
		}
		if c.Message != "" {
			m["message"] = c.Message
		}
		list = append(list, m)
	}
	status, _ := xr.Object["status"].(map[string]any)
	if status == nil {
		status = map[string]any{}
		xr.Object["status"] = status
	}
	status["conditions"] = list
}
