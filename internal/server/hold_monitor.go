package server

import (
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
)

// monitor leaves out a ServiceMonitor that the cluster does not serve: to compose it
// would fail everything else.
func (h *holder) monitor() {
	m := &h.s.Metrics
	if m.Monitor == nil || h.w.Monitors == observed.IsServed {
		return
	}
	m.Monitor = nil
	const instead = "have Prometheus scrape the Service "
	switch h.w.Monitors {
	case observed.NotServed:
		h.warn(pathMonitor, "the cluster does not serve the kind %s of %s, and so there is no such object: install the Prometheus operator's CustomResourceDefinitions, or "+instead+"%s%s and remove the field", names.ServiceMonitorKind, names.MonitoringV1, h.s.Name, names.MetricsSuffix)
	case observed.CannotTell:
		h.warn(pathMonitor, "this Crossplane cannot tell whether the cluster serves the kind %s of %s (2.2 and newer can), and so there is no such object: set serviceMonitors to true in the Input, or "+instead+"%s%s and remove the field", names.ServiceMonitorKind, names.MonitoringV1, h.s.Name, names.MetricsSuffix)
	case observed.SwitchedOff:
		h.warn(pathMonitor, "the Input says that no %s is to be composed (serviceMonitors: false), and so there is none: "+instead+"%s%s and remove the field", names.ServiceMonitorKind, h.s.Name, names.MetricsSuffix)
	case observed.ServedUnknown, observed.IsServed:
	}
}
