// Package serve serves the function: gRPC for Crossplane, and, each at an
// address of its own, metrics for Prometheus and health for the kubelet, which
// cannot reach a port behind mTLS.
//
// The SDK serves functions too, and cannot be stopped. This uses its options
// and adds an end: calls in flight are answered.
package serve

import (
	"context"
	stderrors "errors"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/crossplane/function-sdk-go"
	"github.com/crossplane/function-sdk-go/errors"
	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	grpcprometheus "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"github.com/dittofs/function-dittoserver/internal/cache"
)

// DefaultDrainTimeout is how long calls in flight may take after the end was
// asked for. The kubelet kills after 30 seconds.
const DefaultDrainTimeout = 25 * time.Second

// Options say how to serve.
type Options struct {
	// Network and Address to listen at for gRPC.
	Network, Address string
	// TLSCertsDir holds tls.crt and tls.key of the server, and ca.crt, which
	// signs the certificates that clients must have.
	TLSCertsDir string
	// Insecure serves without TLS.
	Insecure bool
	// MaxRecvMessageSize is the size of the largest request, in bytes.
	MaxRecvMessageSize int
	// MetricsAddress serves /metrics over plain HTTP; empty for no metrics.
	MetricsAddress string
	// HealthAddress serves /livez and /readyz over plain HTTP; empty for none.
	HealthAddress string
	// DrainTimeout bounds the end; 0 for the default.
	DrainTimeout time.Duration
	// Cache keeps responses.
	Cache cache.Options
}

// A Server serves a function.
type Server struct {
	log   logging.Logger
	drain time.Duration

	grpc     *grpc.Server
	listener net.Listener
	checks   *health.Server
	calls    atomic.Int64
	ready    atomic.Bool

	metrics *endpoint
	health  *endpoint
}

// New listens at every address of the options.
func New(fn fnv1.FunctionRunnerServiceServer, log logging.Logger, o Options) (*Server, error) {
	s := &Server{log: log, drain: o.DrainTimeout, checks: health.NewServer()}
	if s.drain == 0 {
		s.drain = DefaultDrainTimeout
	}
	so := &function.ServeOptions{}
	for _, apply := range []function.ServeOption{function.MTLSCertificates(o.TLSCertsDir), function.Insecure(o.Insecure)} {
		if err := apply(so); err != nil {
			return nil, errors.Wrapf(err, "cannot use the certificates in %q", o.TLSCertsDir)
		}
	}
	if so.Credentials == nil {
		return nil, errors.New("no certificates: name their folder with --tls-certs-dir, or serve without TLS with --insecure")
	}

	registry := prometheus.NewRegistry()
	metrics := grpcprometheus.NewServerMetrics(grpcprometheus.WithServerHandlingTimeHistogram())
	registry.MustRegister(metrics, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	responses := cache.New(o.Cache)
	responses.Register(registry)

	s.grpc = grpc.NewServer(
		grpc.Creds(so.Credentials),
		grpc.MaxRecvMsgSize(o.MaxRecvMessageSize),
		cache.ServerOption(),
		// A call does not start with a stack that has to grow.
		grpc.NumStreamWorkers(uint32(runtime.GOMAXPROCS(0))), //nolint:gosec // Small.
		grpc.ChainUnaryInterceptor(metrics.UnaryServerInterceptor(), s.count, recovery.UnaryServerInterceptor(recovery.WithRecoveryHandler(s.survive))),
	)
	reflection.Register(s.grpc)
	responses.Serve(s.grpc, fn)
	grpc_health_v1.RegisterHealthServer(s.grpc, checks{s.checks})
	metrics.InitializeMetrics(s.grpc)

	var err error
	if s.listener, err = listen(o.Network, o.Address); err != nil {
		return nil, err
	}
	if s.metrics, err = s.endpoint(o.MetricsAddress, "metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), "/metrics"); err != nil {
		return nil, stderrors.Join(err, s.listener.Close())
	}
	if s.health, err = s.endpoint(o.HealthAddress, "health", s.healthHandler(), "/"); err != nil {
		return nil, stderrors.Join(err, s.listener.Close(), s.metrics.close())
	}
	return s, nil
}

// Addr is where gRPC is served.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// MetricsAddr is where metrics are served; nil for nowhere.
func (s *Server) MetricsAddr() net.Addr { return s.metrics.addr() }

// HealthAddr is where health is served; nil for nowhere.
func (s *Server) HealthAddr() net.Addr { return s.health.addr() }

// Serve serves until the context ends, and then until every call in flight is
// answered. Calls that take longer than the drain timeout are cut off, which is
// an error.
func (s *Server) Serve(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.grpc.Serve(s.listener) }()
	s.metrics.serve()
	s.health.serve()
	s.ready.Store(true)
	s.log.Info("Serving", "address", s.Addr().String(), "metrics", text(s.MetricsAddr()), "health", text(s.HealthAddr()))

	var err error
	select {
	case err = <-failed:
		err = errors.Wrap(err, "cannot serve gRPC")
	case <-ctx.Done():
		err = s.stop()
	}
	// Last, so that the kubelet is answered until the end.
	return stderrors.Join(err, s.metrics.close(), s.health.close())
}

func text(a net.Addr) string {
	if a == nil {
		return "off"
	}
	return a.String()
}

func (s *Server) stop() error {
	s.log.Info("Stopping", "calls", s.calls.Load())
	s.ready.Store(false)
	s.checks.Shutdown()
	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
		s.log.Info("Stopped")
		return nil
	case <-time.After(s.drain):
	}
	n := s.calls.Load()
	s.grpc.Stop()
	if n == 0 {
		// A client that only holds its connection open.
		return nil
	}
	return errors.Errorf("%d calls took longer than %s to end and were cut off", n, s.drain)
}

// count counts the calls in flight.
func (s *Server) count(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	s.calls.Add(1)
	defer s.calls.Add(-1)
	return next(ctx, req)
}

// survive turns a panic into an error of the call: one server's spec must not
// take the function away from all others. What is logged holds no values, since
// a request holds credentials.
func (s *Server) survive(p any) error {
	what := "a panic"
	if re, ok := p.(runtime.Error); ok {
		what = re.Error()
	}
	s.log.Info("Panicked, please report this", "panic", what, "stack", string(debug.Stack()))
	return status.Error(codes.Internal, "the function panicked, its log says where; please report this")
}

// checks is gRPC's own health service. It does not let clients watch: a watch
// is a call that never ends, and would hold up the end of the server. Clients
// take the refusal for healthy.
type checks struct{ *health.Server }

func (checks) Watch(*grpc_health_v1.HealthCheckRequest, grpc_health_v1.Health_WatchServer) error {
	return status.Error(codes.Unimplemented, "watching is not supported")
}

func (s *Server) healthHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !s.ready.Load() {
			http.Error(w, "not serving", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	return mux
}

func listen(network, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), network, address)
	return l, errors.Wrapf(err, "cannot listen for %s connections at %q", network, address)
}

// An endpoint is something served over plain HTTP. The nil endpoint serves
// nothing.
type endpoint struct {
	listener net.Listener
	server   *http.Server
}

// endpoint listens at an address, unless that is empty. One that is in use is
// no reason not to serve the function: on a developer's machine several
// functions share it.
func (s *Server) endpoint(address, what string, h http.Handler, path string) (*endpoint, error) {
	if address == "" {
		return nil, nil //nolint:nilnil // The nil endpoint serves nothing.
	}
	l, err := listen("tcp", address)
	if stderrors.Is(err, syscall.EADDRINUSE) {
		s.log.Info("The address is in use, nothing is served there", "address", address, "what", what)
		return nil, nil //nolint:nilnil // See above.
	}
	if err != nil {
		return nil, errors.Wrapf(err, "cannot serve %s", what)
	}
	mux := http.NewServeMux()
	mux.Handle(path, h)
	return &endpoint{listener: l, server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}}, nil
}

func (e *endpoint) addr() net.Addr {
	if e == nil {
		return nil
	}
	return e.listener.Addr()
}

func (e *endpoint) serve() {
	if e != nil {
		go func() { _ = e.server.Serve(e.listener) }()
	}
}

func (e *endpoint) close() error {
	if e == nil {
		return nil
	}
	if err := e.server.Close(); err != nil && !stderrors.Is(err, net.ErrClosed) {
		return err
	}
	if err := e.listener.Close(); err != nil && !stderrors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
