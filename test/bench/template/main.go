// Template is a composition function that renders its objects from templates, as
// functions for templates do. It knows nothing of what it renders: no gate, no
// status, no merge.
package main

import (
	"bytes"
	"context"
	"flag"
	"log"
	"os"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"github.com/crossplane/function-sdk-go"
	"github.com/crossplane/function-sdk-go/errors"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/crossplane/function-sdk-go/response"
	"google.golang.org/protobuf/types/known/structpb"
	"sigs.k8s.io/yaml"
)

// annotation names a composed resource.
const annotation = "bench/composition-resource-name"

type renderer struct {
	fnv1.UnimplementedFunctionRunnerServiceServer

	template *template.Template
}

func (r renderer) RunFunction(_ context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	rsp := response.To(req, response.DefaultTTL)
	b := &bytes.Buffer{}
	if err := r.template.Execute(b, map[string]any{"xr": req.GetObserved().GetComposite().GetResource().AsMap()}); err != nil {
		response.Fatal(rsp, errors.Wrap(err, "cannot render"))
		return rsp, nil
	}
	rsp.Desired = &fnv1.State{Resources: map[string]*fnv1.Resource{}}
	for document := range strings.SplitSeq(b.String(), "\n---\n") {
		o := map[string]any{}
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			response.Fatal(rsp, errors.Wrap(err, "cannot decode what was rendered"))
			return rsp, nil
		}
		meta, _ := o["metadata"].(map[string]any)
		annotations, _ := meta["annotations"].(map[string]any)
		name, _ := annotations[annotation].(string)
		delete(annotations, annotation)
		s, err := structpb.NewStruct(o)
		if err != nil {
			response.Fatal(rsp, errors.Wrap(err, "cannot convert what was rendered"))
			return rsp, nil
		}
		rsp.Desired.Resources[name] = &fnv1.Resource{Resource: s}
	}
	return rsp, nil
}

func main() {
	address := flag.String("address", ":9443", "address to listen at")
	metrics := flag.String("metrics-address", ":8080", "address to serve metrics at")
	certs := flag.String("tls-certs-dir", "", "folder with certificates")
	file := flag.String("template", "", "file with the template of all objects")
	flag.Parse()
	text, err := os.ReadFile(*file)
	if err != nil {
		log.Fatal(err)
	}
	t, err := template.New("objects").Funcs(sprig.TxtFuncMap()).Parse(string(text))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(function.Serve(renderer{template: t},
		function.Listen("tcp", *address),
		function.MTLSCertificates(*certs),
		function.MaxRecvMessageSize(16<<20),
		function.WithMetricsServer(*metrics),
	))
}
