// Judges resources as a kube-apiserver does: `crdcheck CRDS RESOURCES…`, each a file of YAML documents.
//
// Each CustomResourceDefinition goes through the server's own validation: a structural schema, and rules in CEL that
// compile and cost no more than allowed. Each resource goes through what the server does when one is created with
// `fieldValidation=Strict`: defaults, unknown fields, schema, rules. Prints a line of JSON for each document.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	apivalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	syaml "sigs.k8s.io/yaml"
)

// kind is what the server knows of a kind of resources.
type kind struct {
	structural *schema.Structural
	schema     apivalidation.SchemaValidator
	rules      *cel.Validator
	namespaced bool
}

// verdict is what is said of a document.
type verdict struct {
	File   string   `json:"file"`
	Index  int      `json:"index"`
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`
	Errors []string `json:"errors"`
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "crdcheck: want CRDS RESOURCES…")
		os.Exit(2)
	}
	out := json.NewEncoder(os.Stdout)
	kinds := map[string]kind{}
	for number, file := range os.Args[1:] {
		err := documents(file, func(index int, object map[string]any) error {
			said := verdict{File: file, Index: index, Errors: []string{}}
			said.Kind, _ = object["kind"].(string)
			metadata, _ := object["metadata"].(map[string]any)
			said.Name, _ = metadata["name"].(string)
			if number == 0 {
				said.Errors = define(object, kinds)
			} else if it, isKnown := kinds[said.Kind]; isKnown {
				said.Errors = it.judge(object)
			} else {
				said.Errors = []string{"kind: not defined"}
			}
			return out.Encode(said)
		})
		if err != nil {
			fmt.Fprintf(os.Stderr, "crdcheck: %s: %v\n", file, err)
			os.Exit(2)
		}
	}
}

// documents calls with each document of a file that is a mapping.
func documents(file string, each func(int, map[string]any) error) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	reader := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(text)))
	defer reader.Close()
	buffer := make([]byte, len(text)+1)
	for index := 0; ; index++ {
		size, err := reader.Read(buffer)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		object := map[string]any{}
		var raw []byte
		raw, err = syaml.YAMLToJSONStrict(buffer[:size])
		if err == nil {
			// As the server reads numbers: whole ones stay whole.
			decoder := json.NewDecoder(bytes.NewReader(raw))
			decoder.UseNumber()
			err = decoder.Decode(&object)
		}
		if err != nil {
			continue
		}
		object, _ = whole(object).(map[string]any)
		if len(object) == 0 {
			continue
		}
		if err := each(index, object); err != nil {
			return err
		}
	}
}

// whole makes of each number an int64, or a float64 if it is none.
func whole(value any) any {
	switch it := value.(type) {
	case map[string]any:
		for key := range it {
			it[key] = whole(it[key])
		}
	case []any:
		for index := range it {
			it[index] = whole(it[index])
		}
	case json.Number:
		if number, err := it.Int64(); err == nil {
			return number
		}
		number, _ := it.Float64()
		return number
	}
	return value
}

// define validates a CustomResourceDefinition, and keeps it.
func define(object map[string]any, kinds map[string]kind) []string {
	raw, err := json.Marshal(object)
	if err != nil {
		return []string{err.Error()}
	}
	external := v1.CustomResourceDefinition{}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&external); err != nil {
		return []string{err.Error()}
	}
	v1.SetDefaults_CustomResourceDefinition(&external)
	v1.SetDefaults_CustomResourceDefinitionSpec(&external.Spec)
	internal := apiextensions.CustomResourceDefinition{}
	if err := v1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&external, &internal, nil); err != nil {
		return []string{err.Error()}
	}
	internal.Status.StoredVersions = []string{internal.Spec.Versions[0].Name}
	if errs := texts(validation.ValidateCustomResourceDefinition(context.Background(), &internal)); len(errs) > 0 {
		return errs
	}
	props := internal.Spec.Versions[0].Schema
	if props == nil {
		props = internal.Spec.Validation
	}
	structural, err := schema.NewStructural(props.OpenAPIV3Schema)
	if err != nil {
		return []string{err.Error()}
	}
	validator, _, err := apivalidation.NewSchemaValidator(props.OpenAPIV3Schema)
	if err != nil {
		return []string{err.Error()}
	}
	rules := cel.NewValidator(structural, true, celconfig.PerCallLimit)
	namespaced := internal.Spec.Scope == apiextensions.NamespaceScoped
	kinds[internal.Spec.Names.Kind] = kind{structural, validator, rules, namespaced}
	return []string{}
}

// judge does to a resource what the server does when it is created.
func (it kind) judge(object map[string]any) []string {
	said := []string{}
	metadata, _ := object["metadata"].(map[string]any)
	if _, has := metadata["namespace"]; has != it.namespaced {
		said = append(said, "metadata.namespace: there, and should not be; or not there, and should")
	}
	options := schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	pruned := runtime.DeepCopyJSON(object)
	for _, path := range pruning.PruneWithOptions(pruned, it.structural, true, options) {
		said = append(said, path+": unknown field")
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(pruned, it.structural)
	defaulting.Default(pruned, it.structural)
	said = append(said, texts(apivalidation.ValidateCustomResource(nil, pruned, it.schema))...)
	said = append(said, texts(listtype.ValidateListSetsAndMaps(nil, it.structural, pruned))...)
	if len(said) > 0 {
		return said
	}
	errs, _ := it.rules.Validate(context.Background(), nil, it.structural, pruned, nil, math.MaxInt64)
	return append(said, texts(errs)...)
}

func texts(errs field.ErrorList) []string {
	out := make([]string, len(errs))
	for index, err := range errs {
		out[index] = err.Error()
	}
	return out
}
