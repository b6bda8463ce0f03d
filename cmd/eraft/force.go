package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/messages"
)

const forceHelp = `Make this stopped node the only voter of a group whose majority is lost for ever.

This is not a repair: entries that only the lost nodes had are gone, and acknowledged writes may be among them. Use it only when
the disks of a majority are destroyed: a lost node that is ever started again on its old data continues another history of the
group. Destroy the data of the lost nodes first.

If several nodes of the group are left, run this on each without confirming, and force the one whose log ends in the
highest term, and among equal terms at the highest index. Force group 0 first if it has lost its majority too.
Then start the node, and remove the lost ones with "eraft remove": placement creates new replicas. The change is an
entry of the group's log, and is recorded in the config chain (eraft config log).`

func forceCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "force-new-quorum", Short: "Make a stopped node the only voter of a group that has lost its majority for ever",
		Long: forceHelp, Args: exactly(0, 0, "no arguments"),
	}
	dir := c.Flags().String("data", "", "data directory of the stopped node")
	group := c.Flags().Uint64("group", 0, "the group")
	typed := c.Flags().String("confirm", "", "the sentence to confirm, instead of typing it")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *dir == "" || !c.Flags().Changed("group") {
			return usageError{fmt.Errorf("say --data DIR and --group G")}
		}
		err := cluster.ForceNewQuorum(*dir, messages.GroupID(*group), func(p cluster.ForcePlan) error {
			return confirm(p, *typed, os.Stdin, os.Stdout)
		})
		if err == nil {
			_, err = fmt.Println("done: start the node, then remove the lost nodes")
		}
		return err
	}
	return c
}

// confirm shows what is about to be done, and requires the sentence to be typed.
func confirm(p cluster.ForcePlan, typed string, in io.Reader, out io.Writer) error {
	text := fmt.Sprintf("node %d (%s), group %d: the log ends at index %d of term %d; up to %d it is known to be committed\n"+
		"voters that will be lost for ever: %v\n", p.Node, p.Name, p.Group, p.LastIndex, p.LastTerm, p.Committed, p.Lost)
	if typed == "" {
		text += fmt.Sprintf("to go on type: %s\n> ", p.Sentence())
	}
	if _, err := io.WriteString(out, text); err != nil {
		return err
	}
	if typed == "" {
		line, err := bufio.NewReader(in).ReadString('\n')
		if err != nil && err != io.EOF {
			return err
		}
		typed = strings.TrimSpace(line)
	}
	if typed != p.Sentence() {
		return fmt.Errorf("not confirmed, nothing was changed: the sentence is %q", p.Sentence())
	}
	return nil
}
