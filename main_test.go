package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/dittofs/function-dittoserver/internal/lifecycle"
	"github.com/dittofs/function-dittoserver/internal/render"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

const perconaXR = `
apiVersion: dittofs.dittofs.com/v1alpha1
kind: DittoServer
metadata: {name: files, namespace: team}
spec:
  storage: {metadataSize: 1Gi}
  percona: {enabled: true}
`

func cliFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runCLI runs a command line as main does.
func runCLI(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cli := &CLI{}
	p, err := kong.New(cli)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Parse(args); err != nil {
		return "", "", err
	}
	out, errs := &bytes.Buffer{}, &bytes.Buffer{}
	err = cli.Render.run(strings.NewReader(perconaXR), out, errs)
	return out.String(), errs.String(), err
}

func TestRenderLifecycle(t *testing.T) {
	dir := cliFiles(t, map[string]string{"xr.yaml": perconaXR})
	got, _, err := runCLI(t, "render", dir+"/xr.yaml", "--lifecycle")
	if err != nil {
		t.Fatal(err)
	}
	want := `STAGE                  COMPOSED  NEW                                             DATABASEREADY               READY
created                8         admin api config headless jwt nfs postgres smb  False WaitingForPostgreSQL  False Creating
database initializing  8         -                                               False WaitingForPostgreSQL  False Creating
database ready         9         server                                          True PostgreSQLReady        False Creating
server starting        9         -                                               True PostgreSQLReady        False Creating
all ready              9         -                                               True PostgreSQLReady        True Available
database flapping      9         -                                               False WaitingForPostgreSQL  False Creating
database paused        9         -                                               False PostgreSQLPaused      False Creating
ready again            9         -                                               True PostgreSQLReady        True Available
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}

	asJSON, _, err := runCLI(t, "render", "-", "--lifecycle", "--output", "json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []lifecycle.Row
	if err := json.Unmarshal([]byte(asJSON), &rows); err != nil || len(rows) != 8 || !slices.Contains(rows[2].New, "server") {
		t.Errorf("the same as JSON, of an XR from standard input: got %v and %v", rows, err)
	}
}

// TestLifecycleWithoutOperator: where the XR's own CustomResourceDefinition
// exists and Percona's does not, the operator is missing, and comes.
func TestLifecycleWithoutOperator(t *testing.T) {
	dir := cliFiles(t, map[string]string{"crd.yaml": "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: dittoservers.dittofs.dittofs.com}}"})
	got, _, err := runCLI(t, "render", "-", "--lifecycle", "--required", dir+"/crd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"created 7 admin api config headless jwt nfs smb False PerconaOperatorNotInstalled False Creating",
		"operator installed 8 postgres False WaitingForPostgreSQL False Creating",
	}
	for _, w := range want {
		if !strings.Contains(strings.Join(strings.Fields(got), " "), w) {
			t.Errorf("the table lacks %q:\n%s", w, got)
		}
	}
}

// A gate is the function with its gate broken.
type gate struct {
	fn     render.Function
	breaks func(req *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse)
}

func (g gate) RunFunction(ctx context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	rsp, err := g.fn.RunFunction(ctx, req)
	if err == nil {
		g.breaks(req, rsp)
	}
	return rsp, err
}

// TestLifecycleShowsBrokenGate: each row is what the function answered, so that
// a function that creates the server too early, or drops it, makes another
// table.
func TestLifecycleShowsBrokenGate(t *testing.T) {
	databaseReady := func(rsp *fnv1.RunFunctionResponse) bool {
		return slices.ContainsFunc(rsp.GetConditions(), func(c *fnv1.Condition) bool {
			return c.GetType() == "DatabaseReady" && c.GetStatus() == fnv1.Status_STATUS_CONDITION_TRUE
		})
	}
	early := &fnv1.Resource{Resource: yamltest.Struct(t, "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: files}, spec: {replicas: 1}}")}

	cases := map[string]struct {
		reason string
		breaks func(req *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse)
		// born is the stage that has the server new, dropped the one in which it
		// is gone.
		born, dropped string
	}{
		"Intact": {
			reason: "The server comes when the database is ready, and is never dropped.",
			breaks: func(*fnv1.RunFunctionRequest, *fnv1.RunFunctionResponse) {},
			born:   "database ready",
		},
		"Early": {
			reason: "A server that comes before its database shows.",
			breaks: func(_ *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				if rs := rsp.GetDesired().GetResources(); rs["server"] == nil && rs["postgres"] != nil {
					rs["server"] = early
				}
			},
			born: "created",
		},
		"Dropped": {
			reason: "A server that goes when its database flaps shows.",
			breaks: func(_ *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				if !databaseReady(rsp) {
					delete(rsp.GetDesired().GetResources(), "server")
				}
			},
			born:    "database ready",
			dropped: "database flapping",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			fn := gate{fn: NewFunction(logging.NewNopLogger(), time.Minute, render.Placeholder{}), breaks: tc.breaks}
			dir := cliFiles(t, map[string]string{"xr.yaml": perconaXR})
			xr, err := render.Loader{}.LoadXR(dir + "/xr.yaml")
			if err != nil {
				t.Fatal(err)
			}
			rows, err := lifecycle.New(fn, xr, nil).Walk(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			born, dropped := "", ""
			for _, r := range rows {
				if born == "" && slices.Contains(r.New, "server") {
					born = r.Stage
				}
				if dropped == "" && slices.Contains(r.Gone, "server") {
					dropped = r.Stage
				}
			}
			if born != tc.born || dropped != tc.dropped {
				t.Errorf("%s\ngot it new in %q and gone in %q, want %q and %q", tc.reason, born, dropped, tc.born, tc.dropped)
			}
		})
	}
}

func TestRender(t *testing.T) {
	dir := cliFiles(t, map[string]string{
		"xr.yaml":      perconaXR,
		"invalid.yaml": strings.ReplaceAll(perconaXR, "1Gi", "many"),
		"input.yaml":   "{apiVersion: dittoserver.fn.crossplane.io/v1beta1, kind: Input, defaults: {image: example.org/ours:v1}}",
		"composition.yaml": `
apiVersion: apiextensions.crossplane.io/v1
kind: Composition
spec:
  compositeTypeRef: {apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer}
  pipeline:
  - {step: else, functionRef: {name: function-else}}
  - step: server
    functionRef: {name: dittofs-function-dittoserver}
    input: {apiVersion: dittoserver.fn.crossplane.io/v1beta1, kind: Input, defaults: {percona: {replicas: 3}}}
`,
		"observed.yaml": `
apiVersion: pgv2.percona.com/v2
kind: PerconaPGCluster
metadata: {name: files-postgres, namespace: team, annotations: {crossplane.io/composition-resource-name: postgres}}
spec: {postgresVersion: 16, instances: [{name: instance1, replicas: 1}]}
status: {state: ready, postgres: {size: 1, ready: 1}}
`,
		"required.yaml": `
apiVersion: v1
kind: Secret
metadata: {name: files-postgres-pguser-dittofs, namespace: team}
stringData: {host: h, port: "5432", dbname: dittofs, user: dittofs, password: p, uri: postgresql://dittofs}
---
apiVersion: v1
kind: Secret
metadata: {name: files-postgres-cluster-cert, namespace: team}
stringData: {ca.crt: a certificate}
`,
	})
	const server, cluster = "kind: StatefulSet", "kind: PerconaPGCluster"

	cases := map[string]struct {
		reason string
		args   []string
		has    []string
		lacks  []string
		stderr string
		err    []string
	}{
		"New": {
			reason: "A new server has a database, and is not there itself.",
			args:   []string{"xr.yaml"},
			has:    []string{"kind: DittoServer\nmetadata:\n  name: files\n  namespace: team\nstatus:", "type: Ready", "reason: PerconaPGClusterNotFound", cluster, "crossplane.io/composition-resource-name: jwt"},
			lacks:  []string{server, "kind: Result"},
		},
		"Results": {
			reason: "Events are printed on request.",
			args:   []string{"xr.yaml", "-r"},
			has:    []string{"kind: Result", "step: dittoserver", "severity: SEVERITY_NORMAL"},
		},
		"Ready": {
			reason: "With a database that is ready and its Secrets, the server is composed.",
			args:   []string{"xr.yaml", "--observed", "observed.yaml", "--required", "required.yaml"},
			has:    []string{"reason: PostgreSQLReady", server},
		},
		"CrossplanesFlags": {
			reason: "The flags of crossplane render work too.",
			args:   []string{"xr.yaml", "--observed-resources", "observed.yaml", "-e", "required.yaml", "--include-function-results"},
			has:    []string{server},
		},
		"Input": {
			reason: "The Input's defaults hold.",
			args:   []string{"xr.yaml", "--input", "input.yaml", "--observed", "observed.yaml", "--required", "required.yaml"},
			has:    []string{"image: example.org/ours:v1"},
		},
		"Composition": {
			reason: "The Input may come from a Composition, of which only this function's step is run.",
			args:   []string{"xr.yaml", "--composition", "composition.yaml", "-r"},
			has:    []string{"replicas: 3", "step: server"},
			stderr: `note: step "else" of the Composition`,
		},
		"Invalid": {
			reason: "What the function refuses is an error with its message.",
			args:   []string{"invalid.yaml"},
			err:    []string{"spec.storage.metadataSize", "many"},
		},
		"InvalidLifecycle": {
			reason: "What the function refuses is an error with its message.",
			args:   []string{"invalid.yaml", "--lifecycle"},
			err:    []string{"spec.storage.metadataSize", "many"},
		},
		"NoAnnotation": {
			reason: "A file that is not what it should be is named.",
			args:   []string{"xr.yaml", "--observed", "required.yaml"},
			err:    []string{"required.yaml", "crossplane.io/composition-resource-name"},
		},
		"InputAndComposition": {
			reason: "There is one Input.",
			args:   []string{"xr.yaml", "--input", "input.yaml", "--composition", "composition.yaml"},
			err:    []string{"--input", "--composition"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			args := []string{"render"}
			for _, a := range tc.args {
				if strings.HasSuffix(a, ".yaml") {
					a = filepath.Join(dir, a)
				}
				args = append(args, a)
			}
			stdout, stderr, err := runCLI(t, args...)
			if (err != nil) != (len(tc.err) > 0) {
				t.Fatalf("%s\ngot error %v", tc.reason, err)
			}
			for _, want := range tc.err {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s\ngot error %q, want it to contain %q", tc.reason, err, want)
				}
			}
			for _, want := range tc.has {
				if !strings.Contains(stdout, want) {
					t.Errorf("%s\nthe output lacks %q:\n%s", tc.reason, want, stdout)
				}
			}
			for _, not := range tc.lacks {
				if strings.Contains(stdout, not) {
					t.Errorf("%s\nthe output has %q:\n%s", tc.reason, not, stdout)
				}
			}
			if !strings.Contains(stderr, tc.stderr) {
				t.Errorf("%s\ngot %q on standard error, want %q", tc.reason, stderr, tc.stderr)
			}
			again, _, _ := runCLI(t, args...)
			if diff := cmp.Diff(stdout, again); diff != "" {
				t.Errorf("the same preview twice: -first, +second:\n%s", diff)
			}
		})
	}
}

// TestRenderHelpReadsAll: the help has what docs/moving.md reads before servers are
// moved. What is left out there is taken not to exist.
func TestRenderHelpReadsAll(t *testing.T) {
	doc, err := os.ReadFile("docs/moving.md")
	if err != nil {
		t.Fatal(err)
	}
	read := regexp.MustCompile(`kubectl (?:-n team-a )?get (customresourcedefinitions [a-z. ]+|dittoservers,[a-z,]+)`).FindAllStringSubmatch(string(doc), 2)
	if len(read) != 2 {
		t.Fatalf("docs/moving.md: got %q, want the two commands that read from the cluster", read)
	}
	help := strings.Join(strings.Fields(strings.ReplaceAll((&RenderCommand{}).Help(), "\\\n", " ")), " ")
	for _, m := range read {
		if want := "kubectl get " + strings.TrimSpace(m[1]); !strings.Contains(help, want) {
			t.Errorf("the help lacks %q:\n%s", want, help)
		}
	}
}

func TestServeDefaults(t *testing.T) {
	t.Setenv("TLS_SERVER_CERTS_DIR", "/certs")
	cases := map[string]struct {
		reason string
		args   []string
		want   ServeCommand
	}{
		"NoArguments": {
			reason: "An image needs no arguments.",
			want:   ServeCommand{Network: "tcp", Address: ":9443", TLSCertsDir: "/certs", MaxRecvMessageSize: 16, CacheSize: 48, TTL: time.Minute, MetricsAddress: ":8080", HealthAddress: ":8081"},
		},
		"FlagsAlone": {
			reason: "The flags that every function has work without a command.",
			args:   []string{"-d", "--insecure", "--network=tcp4", "--address=:1", "--tls-certs-dir=/d", "--max-recv-message-size=8", "--cache-size=0", "--ttl=5m", "--metrics-address=", "--health-address="},
			want:   ServeCommand{Debug: true, Insecure: true, Network: "tcp4", Address: ":1", TLSCertsDir: "/d", MaxRecvMessageSize: 8, TTL: 5 * time.Minute},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cli := &CLI{}
			p, err := kong.New(cli)
			if err != nil {
				t.Fatal(err)
			}
			c, err := p.Parse(tc.args)
			if err != nil || c.Command() != "serve" {
				t.Fatalf("%s\ngot command %v and error %v", tc.reason, c, err)
			}
			if diff := cmp.Diff(tc.want, cli.Serve); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestServeRefuses: a size that makes no sense is refused before anything is
// served.
func TestServeRefuses(t *testing.T) {
	for flag, c := range map[string]ServeCommand{
		"--max-recv-message-size": {MaxRecvMessageSize: 0, TTL: time.Minute},
		"--cache-size":            {MaxRecvMessageSize: 16, CacheSize: -1, TTL: time.Minute},
		"--ttl":                   {MaxRecvMessageSize: 16},
	} {
		if err := c.Run(); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s: got %v, want an error that names it", flag, err)
		}
	}
}

// argsVariable has the test binary be the function's binary.
const argsVariable = "FUNCTION_DITTOSERVER_ARGS"

// TestBinary is no test but, where the variable is set, the binary.
func TestBinary(t *testing.T) {
	args, is := os.LookupEnv(argsVariable)
	if !is {
		t.Skip("not run as the binary")
	}
	os.Args = append([]string{"function-dittoserver"}, strings.Fields(args)...)
	main()
	os.Exit(0)
}

func runBinary(t *testing.T, args string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBinary$")
	cmd.Env = append(os.Environ(), argsVariable+"="+args)
	return cmd
}

// TestServe: the binary answers over mTLS, says that it is ready, and ends well
// when it is told to.
func TestServe(t *testing.T) {
	dir, creds := selfSigned(t)
	cmd := runBinary(t, "--address=127.0.0.1:0 --metrics-address= --health-address=127.0.0.1:0 --tls-certs-dir="+dir)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, health := "", ""
	lines := bufio.NewScanner(log)
	for address == "" && lines.Scan() {
		line := map[string]any{}
		_ = json.Unmarshal(lines.Bytes(), &line)
		if line["msg"] == "Serving" {
			address, _ = line["address"].(string)
			health, _ = line["health"].(string)
		}
	}
	if address == "" {
		t.Fatal("it does not say where it serves")
	}

	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // Nothing is lost.
	req := &fnv1.RunFunctionRequest{Observed: &fnv1.State{Composite: &fnv1.Resource{Resource: yamltest.Struct(t, perconaXR)}}}
	rsp, err := fnv1.NewFunctionRunnerServiceClient(conn).RunFunction(t.Context(), req)
	if err != nil || len(rsp.GetRequirements().GetResources()) == 0 {
		t.Errorf("got %v and %v, want an answer that asks for what exists", rsp, err)
	}
	probe, err := http.Get("http://" + health + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = probe.Body.Close()
	if probe.StatusCode != http.StatusOK {
		t.Errorf("/readyz: got %s, want 200", probe.Status)
	}

	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, log)
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: got %v, want exit 0", err)
	}
}

// TestExitCodes: a refused spec is exit 1, with the message and nothing else.
func TestExitCodes(t *testing.T) {
	dir := cliFiles(t, map[string]string{"invalid.yaml": strings.ReplaceAll(perconaXR, "1Gi", "many")})
	cmd := runBinary(t, "render "+dir+"/invalid.yaml")
	stderr := &bytes.Buffer{}
	cmd.Stderr = stderr
	out, err := cmd.Output()
	exit := &exec.ExitError{}
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("got %v, want exit 1", err)
	}
	if len(out) != 0 || !strings.HasPrefix(stderr.String(), "function-dittoserver: error: ") || !strings.Contains(stderr.String(), "spec.storage.metadataSize") {
		t.Errorf("got %q and on standard error %q, want the message there alone", out, stderr)
	}
}

// selfSigned makes a folder with a certificate that is its own CA, and the
// credentials of a client that has the same.
func selfSigned(t *testing.T) (string, credentials.TransportCredentials) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		DNSNames:              []string{"localhost"},
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
	dir := cliFiles(t, map[string]string{"ca.crt": string(cert), "tls.crt": string(cert), "tls.key": string(private)})
	pair, err := tls.X509KeyPair(cert, private)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return dir, credentials.NewTLS(&tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, ServerName: "localhost", MinVersion: tls.VersionTLS13})
}
