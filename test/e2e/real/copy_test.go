package real

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/certs"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

func copyLabels(name string) labels.Set { return labels.Set{"copy": name} }

// copyPod makes a pod of the composed StatefulSet's template, on volumes of its
// own and with a change.
func (s *server) copyPod(name string, change func(*corev1.PodSpec)) {
	s.t.Helper()

	core := e2e.ControlPlane.Client
	sts, err := core.AppsV1().StatefulSets(s.Name).Get(s.t.Context(), s.name, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}

	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "copy-" + strings.ToLower(name), Labels: copyLabels(name)},
		Spec:       *sts.Spec.Template.Spec.DeepCopy(),
	}
	for _, c := range sts.Spec.VolumeClaimTemplates {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: c.Name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	}
	change(&p.Spec)

	if _, err := core.CoreV1().Pods(s.Name).Create(s.t.Context(), p, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

func setEnv(c *corev1.Container, name, value string) {
	for i := range c.Env {
		if c.Env[i].Name == name {
			c.Env[i] = corev1.EnvVar{Name: name, Value: value}
		}
	}
}

func setSecretVolume(p *corev1.PodSpec, volume, secret string) {
	for i := range p.Volumes {
		if p.Volumes[i].Name == volume {
			p.Volumes[i].Secret.SecretName = secret
		}
	}
}

// An outcome is how a container ends, or why it does not start.
type outcome struct {
	exit  int32
	says  string
	waits string
}

func (o outcome) of(statuses []corev1.ContainerStatus) error {
	if len(statuses) != 1 {
		return fmt.Errorf("there are %d containers", len(statuses))
	}
	st := statuses[0]

	if o.waits != "" {
		if w := st.State.Waiting; w == nil || w.Reason != o.waits || !strings.Contains(w.Message, o.says) {
			return fmt.Errorf("it is not waiting for %s: %s", o.waits, state(st))
		}
		return nil
	}

	t := st.State.Terminated
	if t == nil {
		t = st.LastTerminationState.Terminated
	}
	if t == nil {
		return fmt.Errorf("it has not ended: %s", state(st))
	}
	if t.ExitCode != o.exit || !regexp.MustCompile(o.says).MatchString(t.Message) {
		return fmt.Errorf("it ended with %d and %q", t.ExitCode, t.Message)
	}

	return nil
}

func state(st corev1.ContainerStatus) string {
	switch {
	case st.State.Waiting != nil:
		return st.State.Waiting.Reason + ": " + st.State.Waiting.Message
	case st.State.Running != nil:
		return "running"
	}
	return "ended"
}

// An authority signs certificates.
type authority struct{ *certs.Authority }

func newAuthority(t *testing.T, name string) authority {
	t.Helper()

	a, err := certs.New(name)
	if err != nil {
		t.Fatal(err)
	}
	return authority{a}
}

// sign a certificate for some names. It returns it and its key.
func (a authority) sign(t *testing.T, names ...string) (cert, key []byte) {
	t.Helper()

	cert, key, err := a.Issue(names...)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}
