package serve

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	fnv1beta1 "github.com/crossplane/function-sdk-go/proto/v1beta1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

type fake struct {
	fnv1.UnimplementedFunctionRunnerServiceServer

	answer func(req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error)
}

func (f fake) RunFunction(_ context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	return f.answer(req)
}

// echo answers with the request's tag.
func echo(req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	return &fnv1.RunFunctionResponse{Meta: &fnv1.ResponseMeta{Tag: req.GetMeta().GetTag()}}, nil
}

func tagged(tag string) *fnv1.RunFunctionRequest {
	return &fnv1.RunFunctionRequest{Meta: &fnv1.RequestMeta{Tag: tag}}
}

// pki makes a folder with the certificates of a server, and the credentials of
// a client that it trusts.
func pki(t *testing.T) (dir string, client *tls.Config) {
	t.Helper()
	caKey, caCert, caPEM := certificate(t, nil, nil)
	ca := x509.NewCertPool()
	ca.AddCert(caCert)
	pair := func() (cert, key []byte) {
		k, _, p := certificate(t, caCert, caKey)
		der, err := x509.MarshalECPrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return p, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	}

	dir = t.TempDir()
	serverCert, serverKey := pair()
	for name, b := range map[string][]byte{"ca.crt": caPEM, "tls.crt": serverCert, "tls.key": serverKey} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	crt, err := tls.X509KeyPair(pair())
	if err != nil {
		t.Fatal(err)
	}
	return dir, &tls.Config{RootCAs: ca, Certificates: []tls.Certificate{crt}, ServerName: "localhost", MinVersion: tls.VersionTLS12}
}

func certificate(t *testing.T, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: "test"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		DNSNames:              []string{"localhost"},
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA:                  parent == nil,
		BasicConstraintsValid: true,
	}
	if parent == nil {
		parent, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	crt, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, crt, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// start serves, and answers with the server and what its end comes to.
func start(ctx context.Context, t *testing.T, fn fnv1.FunctionRunnerServiceServer, o Options) (*Server, <-chan error) {
	t.Helper()
	o.Network, o.Address = "tcp", "127.0.0.1:0"
	if o.MaxRecvMessageSize == 0 {
		o.MaxRecvMessageSize = 1 << 20
	}
	s, err := New(fn, logging.NewNopLogger(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		ended <- s.Serve(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return s, ended
}

func dial(t *testing.T, s *Server, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(s.Addr().String(), grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestMTLS(t *testing.T) {
	dir, trusted := pki(t)
	_, foreign := pki(t)
	s, _ := start(t.Context(), t, fake{answer: echo}, Options{TLSCertsDir: dir})

	nobody := trusted.Clone()
	nobody.Certificates = nil
	stranger := trusted.Clone()
	stranger.Certificates = foreign.Certificates
	old := trusted.Clone()
	old.MaxVersion = tls.VersionTLS11
	old.MinVersion = tls.VersionTLS10

	cases := map[string]struct {
		reason string
		creds  credentials.TransportCredentials
		want   codes.Code
	}{
		"Trusted":       {"A client with a certificate of the CA is answered.", credentials.NewTLS(trusted), codes.OK},
		"NoCertificate": {"A client without a certificate is refused.", credentials.NewTLS(nobody), codes.Unavailable},
		"Stranger":      {"A client with a certificate of another CA is refused.", credentials.NewTLS(stranger), codes.Unavailable},
		"OldTLS":        {"TLS before 1.2 is refused.", credentials.NewTLS(old), codes.Unavailable},
		"Plain":         {"A client without TLS is refused.", insecure.NewCredentials(), codes.Unavailable},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, s, tc.creds)
			rsp, err := fnv1.NewFunctionRunnerServiceClient(conn).RunFunction(t.Context(), tagged("v1"))
			if got := status.Code(err); got != tc.want {
				t.Fatalf("%s\ngot %v, want %s", tc.reason, err, tc.want)
			}
			if err != nil {
				return
			}
			if got := rsp.GetMeta().GetTag(); got != "v1" {
				t.Errorf("%s\ngot tag %q, want that of the request", tc.reason, got)
			}
			beta, err := fnv1beta1.NewFunctionRunnerServiceClient(conn).RunFunction(t.Context(), &fnv1beta1.RunFunctionRequest{Meta: &fnv1beta1.RequestMeta{Tag: "v1beta1"}})
			if got := beta.GetMeta().GetTag(); err != nil || got != "v1beta1" {
				t.Errorf("Crossplane before 1.17 speaks v1beta1: got tag %q and %v", got, err)
			}
			check, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
			if got := check.GetStatus(); err != nil || got != grpc_health_v1.HealthCheckResponse_SERVING {
				t.Errorf("gRPC health: got %s and %v", got, err)
			}
		})
	}
}

// TestStop: a signal stops new calls, and answers the one in flight.
func TestStop(t *testing.T) {
	dir, client := pki(t)
	inFlight, release := make(chan struct{}), make(chan struct{})
	fn := fake{answer: func(req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
		close(inFlight)
		<-release
		return echo(req)
	}}
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
	defer stop()
	s, ended := start(ctx, t, fn, Options{TLSCertsDir: dir, HealthAddress: "127.0.0.1:0", MetricsAddress: "127.0.0.1:0"})
	runner := fnv1.NewFunctionRunnerServiceClient(dial(t, s, credentials.NewTLS(client)))

	type answer struct {
		rsp *fnv1.RunFunctionResponse
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		rsp, err := runner.RunFunction(context.Background(), tagged("slow"))
		answered <- answer{rsp, err}
	}()
	<-inFlight
	if got, _ := get(t, s.HealthAddr(), "/readyz"); got != http.StatusOK {
		t.Errorf("/readyz before the signal: got %d, want 200", got)
	}

	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "/readyz turns 503", func() bool { got, _ := get(t, s.HealthAddr(), "/readyz"); return got == http.StatusServiceUnavailable })
	if got, _ := get(t, s.HealthAddr(), "/livez"); got != http.StatusOK {
		t.Errorf("/livez while calls are in flight: got %d, want 200", got)
	}
	eventually(t, "new connections are refused", func() bool {
		c, err := net.DialTimeout("tcp", s.Addr().String(), time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	select {
	case err := <-ended:
		t.Fatalf("ended with %v while a call was in flight", err)
	case a := <-answered:
		t.Fatalf("the call was answered too soon: %v", a)
	default:
	}

	close(release)
	if a := <-answered; a.err != nil || a.rsp.GetMeta().GetTag() != "slow" {
		t.Errorf("the call in flight: got %v and %v, want its answer", a.rsp, a.err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the end: got %v, want none", err)
	}
}

// TestStopBounded: a call that never ends does not hold up the end for ever,
// and that it was cut off is told.
func TestStopBounded(t *testing.T) {
	inFlight, release := make(chan struct{}), make(chan struct{})
	fn := fake{answer: func(req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
		close(inFlight)
		<-release
		return echo(req)
	}}
	ctx, stop := context.WithCancel(t.Context())
	s, ended := start(ctx, t, fn, Options{Insecure: true, DrainTimeout: 50 * time.Millisecond})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = fnv1.NewFunctionRunnerServiceClient(dial(t, s, insecure.NewCredentials())).RunFunction(context.Background(), tagged(""))
	})
	<-inFlight
	stop()
	time.AfterFunc(time.Second, func() { close(release) })
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "1 calls took longer than 50ms") {
		t.Errorf("got %v, want an error that says what was cut off", err)
	}
	wg.Wait()
}

// TestStopIdle: an open connection does not hold up the end.
func TestStopIdle(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	s, ended := start(ctx, t, fake{answer: echo}, Options{Insecure: true})
	conn := dial(t, s, insecure.NewCredentials())
	if _, err := fnv1.NewFunctionRunnerServiceClient(conn).RunFunction(t.Context(), tagged("")); err != nil {
		t.Fatal(err)
	}
	watch, err := grpc_health_v1.NewHealthClient(conn).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); status.Code(err) != codes.Unimplemented {
		t.Errorf("a watch would never end: got %v, want it to be refused", err)
	}
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("did not end")
	}
}

func TestMaxRecvMessageSize(t *testing.T) {
	s, _ := start(t.Context(), t, fake{answer: echo}, Options{Insecure: true, MaxRecvMessageSize: 2 << 20})
	runner := fnv1.NewFunctionRunnerServiceClient(dial(t, s, insecure.NewCredentials()))
	send := func(bytes int) codes.Code {
		req := &fnv1.RunFunctionRequest{Input: &structpb.Struct{Fields: map[string]*structpb.Value{"x": structpb.NewStringValue(strings.Repeat("x", bytes))}}}
		_, err := runner.RunFunction(t.Context(), req)
		return status.Code(err)
	}
	if got := send(3 << 19); got != codes.OK {
		t.Errorf("1.5 MB of 2: got %s", got)
	}
	if got := send(3 << 20); got != codes.ResourceExhausted {
		t.Errorf("3 MB of 2: got %s, want ResourceExhausted", got)
	}
}

// TestPanic: one bad request does not end the process, and nothing of it gets
// into the answer.
func TestPanic(t *testing.T) {
	s, _ := start(t.Context(), t, fake{answer: func(req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
		if req.GetMeta().GetTag() == "bad" {
			panic("a secret")
		}
		return echo(req)
	}}, Options{Insecure: true})
	runner := fnv1.NewFunctionRunnerServiceClient(dial(t, s, insecure.NewCredentials()))
	_, err := runner.RunFunction(t.Context(), tagged("bad"))
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want an internal error without values", err)
	}
	if _, err := runner.RunFunction(t.Context(), tagged("good")); err != nil {
		t.Errorf("the next call: got %v", err)
	}
}

func TestMetrics(t *testing.T) {
	s, _ := start(t.Context(), t, fake{answer: echo}, Options{Insecure: true, MetricsAddress: "127.0.0.1:0"})
	if _, err := fnv1.NewFunctionRunnerServiceClient(dial(t, s, insecure.NewCredentials())).RunFunction(t.Context(), tagged("")); err != nil {
		t.Fatal(err)
	}
	code, body := get(t, s.MetricsAddr(), "/metrics")
	if code != http.StatusOK {
		t.Fatalf("got %d", code)
	}
	for _, want := range []string{
		`grpc_server_handled_total{grpc_code="OK",grpc_method="RunFunction",grpc_service="apiextensions.fn.proto.v1.FunctionRunnerService",grpc_type="unary"} 1`,
		"grpc_server_handling_seconds_bucket", "go_goroutines", "process_resident_memory_bytes",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if s.HealthAddr() != nil {
		t.Error("health is served without an address for it")
	}
}

func TestNewErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // Nothing is lost.
	cases := map[string]struct {
		reason string
		o      Options
		want   string
	}{
		"NoCredentials":   {"Nothing is served in the clear unasked.", Options{Address: "127.0.0.1:0"}, "--insecure"},
		"NoCertificates":  {"The folder is named.", Options{Address: "127.0.0.1:0", TLSCertsDir: "/nowhere"}, "/nowhere"},
		"AddressTaken":    {"The function's own address is needed.", Options{Address: taken.Addr().String(), Insecure: true}, taken.Addr().String()},
		"BadMetrics":      {"A wrong address is told.", Options{Address: "127.0.0.1:0", Insecure: true, MetricsAddress: "8080"}, "cannot serve metrics"},
		"BadHealth":       {"A wrong address is told.", Options{Address: "127.0.0.1:0", Insecure: true, HealthAddress: "8081"}, "cannot serve health"},
		"MetricsAreTaken": {"Several functions on one machine may want the same.", Options{Address: "127.0.0.1:0", Insecure: true, MetricsAddress: taken.Addr().String()}, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.o.Network = "tcp"
			s, err := New(fake{}, logging.NewNopLogger(), tc.o)
			if s != nil {
				defer s.listener.Close() //nolint:errcheck // Nothing is lost.
			}
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%s\ngot %v, want %q", tc.reason, err, tc.want)
			}
		})
	}
}

func get(t *testing.T, addr net.Addr, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr.String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	rsp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, ""
	}
	defer rsp.Body.Close() //nolint:errcheck // Nothing is lost.
	b, err := io.ReadAll(rsp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return rsp.StatusCode, string(b)
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Errorf("not so: %s", what)
}
