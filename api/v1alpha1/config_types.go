package v1alpha1

// A GCSpec is how the server reclaims blocks that no file refers to any more. What it
// does not say is left to the server; the defaults are those of DittoFS v0.29.0.
type GCSpec struct {
	// AutoEnabled has the server reclaim blocks by itself. Without it somebody has to run
	// dfsctl store block gc. Switch it off before file metadata is restored to an earlier
	// time, which may refer to blocks that would be reclaimed. Default: true.
	// +optional
	AutoEnabled *bool `json:"autoEnabled,omitempty"`

	// Interval between two runs, as a duration of at least 1m. Default: 15m.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))*$')",message="must be a duration such as 15m or 1h"
	Interval string `json:"interval,omitempty"`

	// GracePeriod is how long a block that was written stays in any case, as a duration of
	// at least 5m; 10m or more allow for clocks that differ. Default: 1h.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))*$')",message="must be a duration such as 15m or 1h"
	GracePeriod string `json:"gracePeriod,omitempty"`
}
