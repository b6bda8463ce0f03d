package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/eraft-io/eraft/client"
)

// errAbsent says that a key is absent.
var errAbsent = errors.New("not found")

// answer is the output of a data command.
type answer struct {
	Value   *string `json:"value,omitempty"`
	Base64  []byte  `json:"base64,omitempty"` // a value that is not UTF-8
	Version uint64  `json:"version,omitempty"`
	Number  *int64  `json:"number,omitempty"`
}

func (r *remote) print(a answer, text string) error {
	if r.output == "json" {
		return json.NewEncoder(os.Stdout).Encode(a)
	}
	_, err := fmt.Println(text)
	return err
}

// input is the bytes of an argument; "-" means standard input.
func input(arg string) ([]byte, error) {
	if arg != "-" {
		return []byte(arg), nil
	}
	return io.ReadAll(os.Stdin)
}

// remoteCommand makes a command that connects, calls do, and closes the connection.
func remoteCommand(use, short string, args cobra.PositionalArgs, do func(*cobra.Command, *client.Client, *remote, []string) error) *cobra.Command {
	r := &remote{}
	c := &cobra.Command{Use: use, Short: short, Args: args}
	c.RunE = func(c *cobra.Command, args []string) error {
		cl, err := r.dial()
		if err != nil {
			return err
		}
		return errors.Join(do(c, cl, r, args), cl.Close())
	}
	return r.flags(c)
}

func dataCommands() []*cobra.Command {
	all := []*cobra.Command{
		remoteCommand("put KEY VALUE", "Set a key; VALUE - is standard input", exactly(2, 2, "KEY VALUE"), put),
		getCommand(),
		remoteCommand("del KEY", "Delete a key", exactly(1, 1, "KEY"), del),
		remoteCommand("append KEY VALUE", "Add to the end of a value", exactly(2, 2, "KEY VALUE"), appendTo),
		remoteCommand("incr KEY [BY]", "Add to an integer", exactly(1, 2, "KEY [BY]"), incr),
		casCommand(),
	}
	for _, c := range all {
		c.Annotations = map[string]string{takesNumbers: "yes"}
	}
	return append(all, scanCommand())
}

func put(c *cobra.Command, cl *client.Client, r *remote, args []string) error {
	value, err := input(args[1])
	if err != nil {
		return err
	}
	version, err := cl.Put(c.Context(), []byte(args[0]), value)
	if err != nil {
		return err
	}
	return r.print(answer{Version: version}, "OK")
}

func getCommand() *cobra.Command {
	raw := false
	c := remoteCommand("get KEY", "Print a key's value: its bytes, and on a terminal the end of the line", exactly(1, 1, "KEY"),
		func(c *cobra.Command, cl *client.Client, r *remote, args []string) error {
			value, found, err := cl.Get(c.Context(), []byte(args[0]))
			switch {
			case err != nil:
				return err
			case !found:
				return errAbsent
			case r.output == "json" && utf8.Valid(value.Data):
				text := string(value.Data)
				return r.print(answer{Value: &text, Version: value.Version}, "")
			case r.output == "json":
				return r.print(answer{Base64: value.Data, Version: value.Version}, "")
			case !raw && isTerminal(os.Stdout):
				value.Data = append(value.Data, '\n')
			}
			_, err = os.Stdout.Write(value.Data)
			return err
		})
	c.Flags().BoolVar(&raw, "raw", false, "nothing but the value, also on a terminal")
	return c
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func del(c *cobra.Command, cl *client.Client, r *remote, args []string) error {
	found, err := cl.Delete(c.Context(), []byte(args[0]))
	if err != nil {
		return err
	}
	if !found {
		return errAbsent
	}
	return r.print(answer{}, "OK")
}

func appendTo(c *cobra.Command, cl *client.Client, r *remote, args []string) error {
	value, err := input(args[1])
	if err != nil {
		return err
	}
	n, err := cl.Append(c.Context(), []byte(args[0]), value)
	if err != nil {
		return err
	}
	return r.print(answer{Number: &n}, strconv.FormatInt(n, 10))
}

func incr(c *cobra.Command, cl *client.Client, r *remote, args []string) error {
	by := int64(1)
	if len(args) == 2 {
		var err error
		if by, err = strconv.ParseInt(args[1], 10, 64); err != nil {
			return usageError{fmt.Errorf("%q is not an integer", args[1])}
		}
	}
	n, err := cl.Incr(c.Context(), []byte(args[0]), by)
	if err != nil {
		return err
	}
	return r.print(answer{Number: &n}, strconv.FormatInt(n, 10))
}

func casCommand() *cobra.Command {
	absent := false
	c := remoteCommand("cas KEY EXPECTED VALUE", "Set a key whose value is EXPECTED, or with --absent: cas KEY VALUE, one that is not there",
		func(_ *cobra.Command, args []string) error {
			if absent {
				return exactly(2, 2, "KEY VALUE with --absent")(nil, args)
			}
			return exactly(3, 3, "KEY EXPECTED VALUE, or KEY VALUE with --absent")(nil, args)
		},
		func(c *cobra.Command, cl *client.Client, r *remote, args []string) error {
			key, last := []byte(args[0]), len(args)-1
			value, err := input(args[last])
			if err != nil {
				return err
			}
			var now client.Value
			if absent {
				now, err = cl.CompareAndSwap(c.Context(), key, 0, value)
			} else {
				now, err = cl.CompareValueAndSwap(c.Context(), key, []byte(args[1]), value)
			}
			switch {
			case errors.Is(err, client.ErrConflict) && now.Version == 0:
				return fmt.Errorf("%w: the key is absent", err)
			case errors.Is(err, client.ErrConflict):
				return fmt.Errorf("%w: the value is %q", err, now.Data)
			case err != nil:
				return err
			}
			return r.print(answer{Version: now.Version}, "OK")
		})
	c.Flags().BoolVar(&absent, "absent", false, "the key must not be there")
	return c
}
