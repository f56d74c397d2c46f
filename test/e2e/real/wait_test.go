package real

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// The init container lets a server start only if its own user can query its own
// database over verified TLS, and says why not. Every case is a copy of the
// server's pod with one thing changed: that they end otherwise shows that it is
// the composed object that runs.
func TestInitContainer(t *testing.T) {
	parallel(t)

	s := newServer(t, "files", percona)
	s.waitReady()

	other := newAuthority(t, "another CA")
	s.setSecret("other-ca", "ca.crt", string(other.PEM))
	s.setSecret("no-ca", "nothing", "x")

	cases := map[string]struct {
		reason string
		change func(init *corev1.Container, pod *corev1.PodSpec)
		want   outcome
	}{
		"AsComposed": {
			reason: "Nothing is changed but the time that it waits.",
			change: func(*corev1.Container, *corev1.PodSpec) {},
			want:   outcome{exit: 0},
		},
		"WrongPassword": {
			reason: "The database refuses the user.",
			change: func(c *corev1.Container, _ *corev1.PodSpec) { setEnv(c, "PGPASSWORD", "wrong") },
			want:   outcome{exit: 1, says: `Gave up after 5 seconds: .*password authentication failed for user "dittofs"`},
		},
		"NoDatabase": {
			reason: "Nobody answers.",
			change: func(c *corev1.Container, _ *corev1.PodSpec) { setEnv(c, "PGPORT", "5433") },
			want:   outcome{exit: 1, says: `Gave up after 5 seconds: files-postgres-primary.* - no response`},
		},
		"AnotherCA": {
			reason: "The certificate is not signed by the authority in the Secret.",
			change: func(_ *corev1.Container, p *corev1.PodSpec) { setSecretVolume(p, "postgres-ca", "other-ca") },
			want:   outcome{exit: 1, says: `Gave up after 5 seconds: .*certificate verify failed`},
		},
		"AnotherName": {
			reason: "The certificate is another server's.",
			change: func(c *corev1.Container, _ *corev1.PodSpec) {
				setEnv(c, "PGHOST", "files-postgres-ha."+s.Name+".svc")
			},
			want: outcome{exit: 1, says: `Gave up after 5 seconds: .*does not match host name "files-postgres-ha`},
		},
		"NoMount": {
			reason: "Without the CA nothing is verified, and nothing starts.",
			change: func(c *corev1.Container, _ *corev1.PodSpec) { c.VolumeMounts = nil },
			want:   outcome{exit: 1, says: `root certificate file "/postgres-ca/ca.crt" does not exist`},
		},
		"NoVariable": {
			reason: "Without its user it is somebody else.",
			change: func(c *corev1.Container, _ *corev1.PodSpec) {
				c.Env = slices.DeleteFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == "PGUSER" })
			},
			want: outcome{exit: 1, says: `Gave up after 5 seconds: `},
		},
		"AnotherCommand": {
			reason: "The command is the one that is composed.",
			change: func(c *corev1.Container, _ *corev1.PodSpec) { c.Command = []string{"/bin/sh", "-c", "exit 3"} },
			want:   outcome{exit: 3},
		},
		"MissingKey": {
			reason: "A variable that cannot be resolved keeps the container from starting.",
			change: func(c *corev1.Container, _ *corev1.PodSpec) {
				for i := range c.Env {
					if c.Env[i].Name == "PGUSER" {
						c.Env[i].ValueFrom.SecretKeyRef.Key = "nobody"
					}
				}
			},
			want: outcome{waits: "CreateContainerConfigError", says: "couldn't find key nobody in Secret " + s.Name + "/files-postgres-pguser-dittofs"},
		},
		"MissingSecret": {
			reason: "A volume that cannot be laid out keeps the pod from starting.",
			change: func(_ *corev1.Container, p *corev1.PodSpec) { setSecretVolume(p, "postgres-ca", "no-ca") },
			want:   outcome{waits: "PodInitializing"},
		},
	}

	for name, tc := range cases {
		s.copyPod(name, func(spec *corev1.PodSpec) {
			setEnv(&spec.InitContainers[0], "WAIT_SECONDS", "5")
			tc.change(&spec.InitContainers[0], spec)
		})
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			e2e.Eventually(t, tc.reason, func() error {
				p, err := s.pod(copyLabels(name))
				if err != nil {
					return err
				}
				return tc.want.of(p.Status.InitContainerStatuses)
			})
		})
	}

	s.events("mount of a key that is missing", strings.ToLower("copy-MissingSecret"), "FailedMount", "references non-existent secret key: ca.crt")
}

// The server itself, without the init container before it, refuses as well.
func TestServerRefuses(t *testing.T) {
	parallel(t)

	s := newServer(t, "files", percona)
	s.waitReady()
	s.setSecret("other-ca", "ca.crt", string(newAuthority(t, "another CA").PEM))

	cases := map[string]struct {
		change func(c *corev1.Container, pod *corev1.PodSpec)
		says   string
	}{
		"AnotherCA": {
			change: func(_ *corev1.Container, p *corev1.PodSpec) { setSecretVolume(p, "postgres-ca", "other-ca") },
			says:   "certificate signed by unknown authority",
		},
		"AnotherName": {
			change: func(c *corev1.Container, _ *corev1.PodSpec) {
				setEnv(c, "DITTOFS_DATABASE_POSTGRES_HOST", "files-postgres-ha."+s.Name+".svc")
			},
			says: "certificate is valid for",
		},
		"NoTLS": {
			change: func(c *corev1.Container, _ *corev1.PodSpec) {
				setEnv(c, "DITTOFS_DATABASE_POSTGRES_SSLMODE", "disable")
			},
			says: "no pg_hba.conf entry for host .* no encryption",
		},
	}
	for name, tc := range cases {
		s.copyPod(name, func(spec *corev1.PodSpec) {
			spec.InitContainers = nil
			tc.change(&spec.Containers[0], spec)
		})
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			e2e.Eventually(t, "end of the server", func() error {
				p, err := s.pod(copyLabels(name))
				if err != nil {
					return err
				}
				return outcome{exit: 1, says: tc.says}.of(p.Status.ContainerStatuses)
			})
		})
	}
}

// With another CA in the Secret, or another name in the certificate, the server
// does not come up, what Available says to look at says why, and it comes up
// once all is well again.
func TestVerifiedTLS(t *testing.T) {
	parallel(t)

	s := newServer(t, "files", percona)
	s.waitReady()
	before := s.serverPod()

	// The operator would put its own back, also at the end of what it is doing
	// at the moment.
	s.Patch("perconapgcluster", "files-postgres", `{"spec": {"unmanaged": true}}`)
	s.Wait("postgrescluster", "files-postgres", func(o *e2e.Object) error {
		if c := o.Condition("Progressing"); c.Reason != "Paused" {
			return fmt.Errorf("the operator goes on: Progressing is %+v", c)
		}
		return nil
	})
	ca := newAuthority(t, "another CA")
	good, key := ca.sign(t, "files-postgres-primary."+s.Name+".svc")
	bad, badKey := ca.sign(t, "files-postgres-primary.elsewhere.svc")

	s.setCertificate(map[string][]byte{"ca.crt": ca.PEM})
	s.waitPod(s.serverLabels(), func(p *corev1.Pod) error {
		if p.UID == before.UID {
			return fmt.Errorf("it is still the old one")
		}
		return nil
	})
	s.saysWhy("certificate verify failed")
	s.waitCondition("Available", "False", "NoReplicasAvailable")

	s.setCertificate(map[string][]byte{"tls.crt": bad, "tls.key": badKey})
	s.saysWhy(`does not match host name "files-postgres-primary.` + s.Name + `.svc"`)

	s.setCertificate(map[string][]byte{"tls.crt": good, "tls.key": key})
	s.waitPod(s.serverLabels(), podReady)
	s.waitReady()
	s.waitHealth("reachable")
	s.usesPostgreSQL("dittofs")
}

// saysWhy waits until the commands in the message of Available show something.
func (s *server) saysWhy(what string) {
	s.t.Helper()

	e2e.Eventually(s.t, "reason "+what, func() error {
		message := s.Get("dittoserver", s.name).Condition("Available").Message
		commands := strings.Split(message, "kubectl ")[1:]
		if len(commands) == 0 {
			return fmt.Errorf("Available names no command: %s", message)
		}
		said := ""
		for _, c := range commands {
			args, _, _ := strings.Cut(strings.TrimSpace(c), ", and")
			out, err := e2e.ControlPlane.Kubectl(s.t.Context(), "", strings.Fields(strings.TrimRight(args, "."))...)
			if err != nil {
				return err
			}
			said += out
		}
		if !strings.Contains(said, what) {
			return fmt.Errorf("%s shows %s", message, said)
		}
		return nil
	})
}

func (s *server) setCertificate(data map[string][]byte) {
	s.t.Helper()

	secrets := e2e.ControlPlane.Client.CoreV1().Secrets(s.Name)
	sec, err := secrets.Get(s.t.Context(), "files-postgres-cluster-cert", metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	for k, v := range data {
		sec.Data[k] = v
	}
	if _, err := secrets.Update(s.t.Context(), sec, metav1.UpdateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// events waits for one of a pod.
func (s *server) events(what, pod, reason, message string) {
	s.t.Helper()

	e2e.Eventually(s.t, what, func() error {
		all := s.Events("Pod", pod)
		if !slices.ContainsFunc(all, func(e string) bool { return strings.Contains(e, reason) && strings.Contains(e, message) }) {
			return fmt.Errorf("there are only the events %v", all)
		}
		return nil
	})
}
