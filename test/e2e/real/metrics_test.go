package real

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// Prometheus scrapes the server through its Service, with the token where there is
// one, also after a rotation. Nothing is left of metrics that are switched off.
// The namespace, which is named for the test, is not called metrics.
func TestScraping(t *testing.T) {
	parallel(t)

	s := newServer(t, "files", sqlite+"  metrics: {enabled: true}\n")
	s.waitReady()
	s.wantScrape("", http.StatusOK)
	port := s.scrapePort()
	pod := s.serverPod()

	// A token that does not exist yet leaves the server as it is.
	s.Patch("dittoserver", s.name, `{"spec": {"metrics": {"bearerTokenSecret": {"name": "scraper", "key": "token"}}}}`)
	s.waitCondition("Accepted", "False", "ChangeHeld")
	s.samePod(pod)
	s.wantScrape("", http.StatusOK)

	pod = s.replaces(pod, func() { s.setSecret("scraper", "token", "the first token") })
	s.waitCondition("Accepted", "True", "SpecAccepted")
	s.wantScrape("", http.StatusUnauthorized)
	s.wantScrape("another token", http.StatusUnauthorized)
	s.wantScrape("the first token", http.StatusOK)

	pod = s.replaces(pod, func() { s.setSecret("scraper", "token", "the second token") })
	s.wantScrape("the first token", http.StatusUnauthorized)
	s.wantScrape("the second token", http.StatusOK)

	pod = s.replaces(pod, func() { s.Patch("dittoserver", s.name, `{"spec": {"metrics": {"enabled": false}}}`) })
	s.WaitGone("service", s.name+"-metrics")
	address := net.JoinHostPort(pod.Status.PodIP, port)
	if conn, err := net.DialTimeout("tcp", address, 10*time.Second); err == nil {
		conn.Close() //nolint:errcheck // Nothing was written.
		t.Errorf("%s still answers", address)
	}
	for _, o := range []struct{ kind, name string }{{"statefulset", s.name}, {"configmap", s.name + "-config"}} {
		live := s.Get(o.kind, o.name).DeepCopy()
		live.SetManagedFields(nil)
		b, err := json.Marshal(live)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "metrics") {
			t.Errorf("there is something left of the metrics in %s %s: %s", o.kind, o.name, b)
		}
	}
}

// replaces waits until a change has replaced the server's pod, and everything is
// ready again. It returns the new pod.
func (s *server) replaces(before *corev1.Pod, change func()) *corev1.Pod {
	s.t.Helper()

	change()
	after := s.waitPod(s.serverLabels(), successor(before))
	s.waitReady()

	return after
}

// wantScrape fails the test unless a scraper that shows the token, or none, gets
// that status, and metrics of the server with 200. A Service leads nowhere for a
// moment after its pod was replaced.
func (s *server) wantScrape(token string, status int) {
	s.t.Helper()

	e2e.Eventually(s.t, "scraping with the token "+strconv.Quote(token), func() error {
		got, body, err := s.scrape(token)
		switch {
		case err != nil:
			return err
		case got != status:
			return fmt.Errorf("the status is %d, want %d: %s", got, status, body)
		case strings.Contains(body, "\ndittofs_") != (status == http.StatusOK):
			return fmt.Errorf("with status %d there should be series of the server only if that is 200: %s", got, body)
		}
		return nil
	})
}

// scrape does what Prometheus is commonly configured to do: it finds the Service
// by its annotations, and asks the pod behind it.
func (s *server) scrape(token string) (status int, body string, err error) {
	svc, err := s.metricsService()
	if err != nil {
		return 0, "", err
	}
	if a := svc.Annotations["prometheus.io/scrape"]; a != "true" {
		return 0, "", fmt.Errorf("prometheus.io/scrape is %q", a)
	}
	pod, err := s.pod(labels.Set(svc.Spec.Selector))
	if err != nil {
		return 0, "", err
	}
	target, ok := targetPort(svc, svc.Annotations["prometheus.io/port"])
	if !ok || pod.Status.PodIP == "" {
		return 0, "", fmt.Errorf("the Service does not lead from port %s to pod %s", svc.Annotations["prometheus.io/port"], brief(pod))
	}

	url := "http://" + net.JoinHostPort(pod.Status.PodIP, target) + svc.Annotations["prometheus.io/path"]
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	rsp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return 0, "", err
	}
	defer rsp.Body.Close() //nolint:errcheck // It is only read.
	b, err := io.ReadAll(rsp.Body)

	return rsp.StatusCode, "\n" + string(b), err
}

// scrapePort is the port of the pod that is scraped.
func (s *server) scrapePort() string {
	s.t.Helper()

	svc, err := s.metricsService()
	if err != nil {
		s.t.Fatal(err)
	}
	port, ok := targetPort(svc, svc.Annotations["prometheus.io/port"])
	if !ok {
		s.t.Fatalf("the Service has no port %s: %v", svc.Annotations["prometheus.io/port"], svc.Spec.Ports)
	}

	return port
}

func (s *server) metricsService() (*corev1.Service, error) {
	return e2e.ControlPlane.Client.CoreV1().Services(s.Name).Get(s.t.Context(), s.name+"-metrics", metav1.GetOptions{})
}

// targetPort is the port of the pod that a port of the Service leads to.
func targetPort(svc *corev1.Service, port string) (string, bool) {
	for _, p := range svc.Spec.Ports {
		if strconv.Itoa(int(p.Port)) == port {
			return p.TargetPort.String(), true
		}
	}
	return "", false
}
