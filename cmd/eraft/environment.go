package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/eraft-io/eraft/messages"
)

// clientSeeds names the cluster that commands talk to. A server has seeds of its own: the variable is set in shells and containers
// that have nothing to do with the cluster that a node belongs to.
const clientSeeds = "ERAFT_SEEDS"

// variables are the names of a server flag in the environment. The first one that is set counts.
func variables(flag string) []string {
	name := strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
	if all := []string{"ERAFT_SERVER_" + name, "ERAFT_" + name}; all[1] != clientSeeds {
		return all
	}
	return []string{"ERAFT_SERVER_" + name}
}

// variable gives the value of a server flag in the environment, and the name of the variable; "": it is not set.
func variable(flag string) (name, value string) {
	for _, name := range variables(flag) {
		if value := os.Getenv(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

// serviceLink matches variables that Kubernetes sets for a service whose name is eraft or begins with it.
var serviceLink = regexp.MustCompile(`^ERAFT(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)$`)

// unknownVariables are the variables that begin as eraft's do, and that eraft does not read.
func unknownVariables(environment []string) (unknown []string) {
	known := []string{clientSeeds}
	serverCommand().Flags().VisitAll(func(f *pflag.Flag) { known = append(known, variables(f.Name)...) })
	for _, line := range environment {
		name, _, _ := strings.Cut(line, "=")
		if strings.HasPrefix(name, "ERAFT_") && !slices.Contains(known, name) && !serviceLink.MatchString(name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// trimmedList removes the spaces around the elements of a list: "a, b" has two elements. An empty element is refused, since it is
// likely that a value is missing.
func trimmedList(what string, list []string) ([]string, error) {
	var all []string
	for _, element := range list {
		element = strings.TrimSpace(element)
		if element == "" {
			return nil, fmt.Errorf("%s has an empty element: %q", what, strings.Join(list, ","))
		}
		all = append(all, element)
	}
	return all, nil
}

// resolveSeeds gives the seeds of the cluster that a command talks to: those of the flag, else those of the environment.
func resolveSeeds(flag string, seeds []string) ([]string, error) {
	what := "--" + flag
	if len(seeds) == 0 && os.Getenv(clientSeeds) != "" {
		what, seeds = clientSeeds, strings.Split(os.Getenv(clientSeeds), ",")
	}
	if len(seeds) == 0 {
		why := fmt.Sprintf("no cluster is named: say --%s host:port or set %s", flag, clientSeeds)
		if unknown := unknownVariables(os.Environ()); len(unknown) > 0 {
			why += fmt.Sprintf(" (eraft knows no variable %s, which is set)", strings.Join(unknown, ", "))
		}
		return nil, usageError{errors.New(why)}
	}
	seeds, err := trimmedList(what, seeds)
	if err == nil {
		if err = messages.CheckAddresses(seeds); err != nil {
			err = fmt.Errorf("%s: %w", what, err)
		}
	}
	if err != nil {
		return nil, usageError{err}
	}
	return seeds, nil
}
