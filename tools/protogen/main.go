// Command protogen turns .proto files into Go beside them. It parses with protocompile and runs the
// protoc-gen-go that tools/go.mod pins, so that generating needs nothing but Go.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	dir := flag.String("I", ".", "folder of the .proto files; the Go files go there too")
	prefix := flag.String("prefix", "", "what the files are called before their name: unique in every program that links them")
	plugin := flag.String("plugin", "", "protoc-gen-go binary (default: go tool protoc-gen-go of the tools module)")
	flag.Parse()
	if err := run(*dir, *prefix, *plugin, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "protogen:", err)
		os.Exit(1)
	}
}

func run(dir, prefix, plugin string, names []string) error {
	if len(names) == 0 {
		return fmt.Errorf("no .proto files named")
	}
	for i := range names {
		names[i] = prefix + names[i]
	}
	open := func(path string) (io.ReadCloser, error) {
		return os.Open(filepath.Join(dir, strings.TrimPrefix(path, prefix)))
	}
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: open}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(context.Background(), names...)
	if err != nil {
		return err
	}
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: names, Parameter: proto.String("paths=source_relative")}
	seen := map[string]bool{}
	for _, f := range files {
		request.ProtoFile = collect(request.ProtoFile, f, seen)
	}
	response, err := generate(plugin, request)
	if err != nil {
		return err
	}
	for _, f := range response.File {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(f.GetName())), []byte(f.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// collect appends f and what it imports, imports first, as protoc plugins expect.
func collect(into []*descriptorpb.FileDescriptorProto, f protoreflect.FileDescriptor, seen map[string]bool) []*descriptorpb.FileDescriptorProto {
	if seen[f.Path()] {
		return into
	}
	seen[f.Path()] = true
	imports := f.Imports()
	for i := range imports.Len() {
		into = collect(into, imports.Get(i).FileDescriptor, seen)
	}
	return append(into, protoutil.ProtoFromFileDescriptor(f))
}

func generate(plugin string, request *pluginpb.CodeGeneratorRequest) (*pluginpb.CodeGeneratorResponse, error) {
	in, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "tool", "protoc-gen-go")
	if plugin != "" {
		cmd = exec.Command(plugin)
	}
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("protoc-gen-go: %w", err)
	}
	response := new(pluginpb.CodeGeneratorResponse)
	if err := proto.Unmarshal(out.Bytes(), response); err != nil {
		return nil, err
	}
	if response.Error != nil {
		return nil, fmt.Errorf("protoc-gen-go: %s", response.GetError())
	}
	return response, nil
}
