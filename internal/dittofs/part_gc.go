package dittofs

import "github.com/dittofs/function-dittoserver/internal/server"

// gc is how the server reclaims blocks, as far as the spec says.
// Source: dittofs v0.29.0 pkg/config/config.go, GCConfig.
func gc(s *server.Server) part {
	config := section{}
	if s.GC.AutoEnabled != nil {
		config["auto_enabled"] = *s.GC.AutoEnabled
	}
	if s.GC.Interval != "" {
		config["auto_interval"] = s.GC.Interval
	}
	if s.GC.GracePeriod != "" {
		config["grace_period"] = s.GC.GracePeriod
	}
	return part{config: section{"gc": config}}
}
