// Package patroni stands in for Patroni in a pod of Percona's operator, for a
// cluster of one instance: it makes a database of an empty volume, runs
// PostgreSQL with what the operator's configuration says, and answers what the
// operator, its probes and its scripts ask Patroni.
//
// It is a program within a program: Main runs it if that is what this process
// is started as. What Patroni does at the API server from within the pod, Elect
// does for it from outside.
package patroni

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

// Version that it claims to be.
const Version = "4.0.5"

// dynamic is where the configuration lies that Patroni keeps in Kubernetes.
const dynamic = "patroni.dynamic.json"

// Config is the part of Patroni's configuration that is heeded.
type config struct {
	Bootstrap struct {
		DCS    *settings `json:"dcs"`
		InitDB []any     `json:"initdb"`
	} `json:"bootstrap"`
	RestAPI struct {
		CertFile string `json:"certfile"`
	} `json:"restapi"`
}

type settings struct {
	PostgreSQL struct {
		Parameters map[string]any `json:"parameters"`
		HBA        []string       `json:"pg_hba"`
	} `json:"postgresql"`
}

// Main is patroni or patronictl if that is the name of this process. It does
// not return then.
func Main() {
	var err error
	switch filepath.Base(os.Args[0]) {
	case "patroni":
		err = run()
	case "patronictl":
		err = control()
	default:
		return
	}

	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// control is patronictl.
func control() error {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "version":
		fmt.Println("patronictl version", Version)
		return nil

	case len(os.Args) > 1 && os.Args[1] == "edit-config":
		data, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		return replace(filepath.Join(os.Getenv("PGDATA"), dynamic), data)
	}

	return fmt.Errorf("not implemented: %q", os.Args)
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()

	// The database's own locale has to be one that there is.
	if err := errors.Join(os.Setenv("LC_ALL", "C.UTF-8"), os.Setenv("LANG", "C.UTF-8")); err != nil {
		return err
	}
	data := os.Getenv("PGDATA")

	cfg, err := load(os.Args[1])
	if err != nil {
		return err
	}
	if err := initialize(data, cfg); err != nil {
		return err
	}
	if err := configure(data); err != nil {
		return err
	}
	if err := disk.Dir(os.Getenv("PGHOST")); err != nil {
		return err
	}

	pg := exec.Command("postgres", "-D", data) //nolint:gosec,noctx // It is told to end by a signal, as by Patroni.
	pg.Stdout, pg.Stderr = os.Stdout, os.Stderr
	if err := pg.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- pg.Wait() }()

	if err := serve(cfg, data); err != nil {
		return err
	}
	go follow(ctx, data, pg.Process)

	select {
	case err := <-ended:
		return fmt.Errorf("PostgreSQL has ended: %w", err)
	case <-ctx.Done():
	}

	// A fast shutdown.
	if err := pg.Process.Signal(os.Interrupt); err != nil {
		return err
	}

	return <-ended
}

// load the files of a folder, one over the other.
func load(dir string) (*config, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}

	cfg := &config{}
	for _, f := range files {
		data, err := disk.Read(f)
		if err != nil {
			return nil, err
		}
		if err := yaml.Unmarshal(data, cfg); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
	}

	return cfg, nil
}

// initialize makes a database where there is none. What the operator says of a
// database that is made is kept from then on: it does not say it again.
func initialize(data string, cfg *config) error {
	_, err := os.Stat(filepath.Join(data, "PG_VERSION"))
	if err != nil {
		args := []string{"--pgdata", data, "--username", "postgres", "--auth", "peer"}
		for _, o := range cfg.Bootstrap.InitDB {
			switch o := o.(type) {
			case string:
				name, value, ok := strings.Cut(o, "=")
				args = append(args, "--"+name)
				if ok {
					args = append(args, value)
				}
			case map[string]any:
				for k, v := range o {
					args = append(args, fmt.Sprintf("--%s=%v", k, v))
				}
			}
		}
		cmd := exec.CommandContext(context.Background(), "initdb", args...) //nolint:gosec // What the operator says.
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("initdb: %w", err)
		}
		if err := os.Rename(filepath.Join(data, "postgresql.conf"), filepath.Join(data, "postgresql.base.conf")); err != nil {
			return err
		}
	}

	if cfg.Bootstrap.DCS == nil {
		return nil
	}
	kept, err := json.Marshal(cfg.Bootstrap.DCS)
	if err != nil {
		return err
	}

	return replace(filepath.Join(data, dynamic), kept)
}

// configure PostgreSQL as the operator says.
func configure(data string) error {
	kept, err := disk.Read(filepath.Join(data, dynamic))
	if err != nil {
		return err
	}
	s := &settings{}
	if err := json.Unmarshal(kept, s); err != nil {
		return err
	}

	conf := &bytes.Buffer{}
	fmt.Fprintln(conf, "include 'postgresql.base.conf'")
	fmt.Fprintln(conf, "listen_addresses = '*'")
	fmt.Fprintf(conf, "port = %s\n", os.Getenv("PGPORT"))
	for _, k := range slices.Sorted(maps.Keys(s.PostgreSQL.Parameters)) {
		v := s.PostgreSQL.Parameters[k]
		if k == "restore_command" {
			// Patroni gives it to those that recover.
			continue
		}
		fmt.Fprintf(conf, "%s = '%s'\n", k, strings.NewReplacer("'", "''", `\`, `\\`).Replace(fmt.Sprint(v)))
	}

	return errors.Join(
		replace(filepath.Join(data, "postgresql.conf"), conf.Bytes()),
		replace(filepath.Join(data, "pg_hba.conf"), []byte(strings.Join(s.PostgreSQL.HBA, "\n")+"\n")),
	)
}

// certificate of PostgreSQL.
const certificate = "/pgconf/tls/tls.crt"

// follow what the operator changes while PostgreSQL runs. A new certificate is
// a sidecar's to tell PostgreSQL of, but that needs to see its process.
func follow(ctx context.Context, data string, pg *os.Process) {
	read := func() ([]byte, error) {
		conf, err := disk.Read(filepath.Join(data, dynamic))
		if err != nil {
			return nil, err
		}
		cert, err := disk.Read(certificate)
		return append(conf, cert...), err
	}

	last, _ := read()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		now, err := read()
		if err != nil || bytes.Equal(now, last) {
			continue
		}
		last = now
		if err := configure(data); err != nil {
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		_ = pg.Signal(syscall.SIGHUP)
	}
}

// A Status is what Patroni says of itself at /patroni.
type Status struct {
	State            string `json:"state"`
	Role             string `json:"role"`
	SystemIdentifier string `json:"database_system_identifier"`
}

// serve Patroni's API, as far as it is asked for.
func serve(cfg *config, data string) error {
	cert, err := tls.LoadX509KeyPair(cfg.RestAPI.CertFile, cfg.RestAPI.CertFile)
	if err != nil {
		return err
	}

	ready := func(ctx context.Context) bool { return exec.CommandContext(ctx, "pg_isready", "--quiet").Run() == nil }
	mux := http.NewServeMux()
	mux.HandleFunc("/liveness", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/readiness", func(w http.ResponseWriter, r *http.Request) {
		if !ready(r.Context()) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/patroni", func(w http.ResponseWriter, r *http.Request) {
		s := Status{State: "stopped", Role: "primary"}
		if ready(r.Context()) {
			s.State = "running"
		}
		out, err := exec.CommandContext(r.Context(), "pg_controldata", "-D", data).Output()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		for line := range strings.Lines(string(out)) {
			if v, ok := strings.CutPrefix(line, "Database system identifier:"); ok {
				s.SystemIdentifier = strings.TrimSpace(v)
			}
		}
		_ = json.NewEncoder(w).Encode(s)
	})

	l, err := tls.Listen("tcp", ":8008", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}) //nolint:gosec // The pod has an address of its own.
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(l) }()

	return nil
}

func replace(path string, data []byte) error {
	if err := disk.WriteMode(path+".next", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".next", path)
}
