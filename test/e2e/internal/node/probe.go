package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probe a container for as long as its process runs, and say why if it has to
// be started again.
func (c *container) probe(ctx context.Context, proc *process, unhealthy chan<- string) {
	if s := c.spec.StartupProbe; s != nil {
		if !c.repeat(ctx, proc, s, "Startup", func(ok bool) bool { return ok }) {
			if ctx.Err() == nil {
				unhealthy <- "failed startup probe"
			}
			return
		}
		c.set(func() { c.started, c.ready = true, c.spec.ReadinessProbe == nil })
		c.p.report(ctx)
	}

	if r := c.spec.ReadinessProbe; r != nil {
		go func() {
			for ctx.Err() == nil {
				// It fails and passes again, and again.
				c.repeat(ctx, proc, r, "Readiness", func(ok bool) bool {
					changed := false
					c.set(func() { changed = ok != c.ready; c.ready = ok })
					if changed && ctx.Err() == nil {
						c.p.report(ctx)
					}
					return false
				})
				if ctx.Err() != nil {
					return
				}
				c.set(func() { c.ready = false })
				c.p.report(ctx)
			}
		}()
	}

	if l := c.spec.LivenessProbe; l != nil {
		if !c.repeat(ctx, proc, l, "Liveness", func(bool) bool { return false }) && ctx.Err() == nil {
			unhealthy <- "failed liveness probe"
		}
	}
}

// repeat a probe until it has failed too often in a row, which makes it false,
// or is told to stop when it has passed often enough.
func (c *container) repeat(ctx context.Context, proc *process, p *corev1.Probe, what string, passed func(ok bool) (stop bool)) bool {
	sleep(ctx, time.Until(proc.begun.Add(time.Duration(p.InitialDelaySeconds)*time.Second)))

	failures, successes := int32(0), int32(0)
	for ctx.Err() == nil {
		err := c.attempt(ctx, proc, p)
		if ctx.Err() != nil {
			return false
		}
		if err != nil {
			failures, successes = failures+1, 0
			c.p.n.event(ctx, c.p.object(), corev1.EventTypeWarning, "Unhealthy", what+" probe failed: "+err.Error())
			if failures >= max(1, p.FailureThreshold) {
				return false
			}
		} else {
			failures, successes = 0, successes+1
			if successes >= max(1, p.SuccessThreshold) && passed(true) {
				return true
			}
		}
		sleep(ctx, time.Duration(max(1, p.PeriodSeconds))*time.Second)
	}

	return false
}

func (c *container) attempt(ctx context.Context, proc *process, p *corev1.Probe) error {
	timeout := time.Duration(max(1, p.TimeoutSeconds)) * time.Second
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	switch {
	case p.HTTPGet != nil:
		return c.get(ctx, p.HTTPGet)

	case p.TCPSocket != nil:
		port, err := c.port(p.TCPSocket.Port)
		if err != nil {
			return err
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(c.p.ip(), port))
		if err != nil {
			return err
		}
		return conn.Close()

	case p.Exec != nil:
		return proc.exec(p.Exec.Command, timeout)
	}

	return errors.New("this node does not know probes of its kind")
}

func (c *container) get(ctx context.Context, g *corev1.HTTPGetAction) error {
	port, err := c.port(g.Port)
	if err != nil {
		return err
	}
	host := g.Host
	if host == "" {
		host = c.p.ip()
	}
	scheme := "http"
	if g.Scheme == corev1.URISchemeHTTPS {
		scheme = "https"
	}

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, port)+g.Path, nil)
	if err != nil {
		return err
	}
	for _, h := range g.HTTPHeaders {
		req.Header.Add(h.Name, h.Value)
	}

	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		// A kubelet does not verify certificates either.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // See above.
	}}
	rsp, err := client.Do(req)
	if err != nil {
		return err
	}
	_ = rsp.Body.Close()
	if rsp.StatusCode < 200 || rsp.StatusCode >= 400 {
		return fmt.Errorf("HTTP probe failed with statuscode: %d", rsp.StatusCode)
	}

	return nil
}

// port that a probe means, which may be a port's name.
func (c *container) port(p intstr.IntOrString) (string, error) {
	if p.Type == intstr.Int {
		return strconv.Itoa(p.IntValue()), nil
	}
	for _, cp := range c.spec.Ports {
		if cp.Name == p.StrVal {
			return strconv.Itoa(int(cp.ContainerPort)), nil
		}
	}
	return "", fmt.Errorf("container %s has no port %s", c.spec.Name, p.StrVal)
}
