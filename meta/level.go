package meta

import (
	"fmt"

	"github.com/eraft-io/eraft/messages"
)

// Raise is the next command that raises the cluster's feature level: to what every node of the config has pledged. nil: they
// have pledged no more than the config says, or not all of them are in that are awaited.
//
// A pledge is a promise on a node's disk that no program below that level starts there again. So it stays true of a node that
// is silent now; and as a raise names the config that its nodes are from, nobody comes in between unseen.
func RaiseLevel(config *messages.Config, pledged func(node uint64) messages.Level) *messages.MetaCommand {
	level := CommonLevel(config, pledged)
	if level <= config.FeatureLevel() {
		return nil
	}
	return &messages.MetaCommand{IfVersion: config.Version, Op: &messages.MetaCommand_RaiseLevel{
		RaiseLevel: &messages.RaiseLevel{Level: uint32(level)},
	}}
}

// CommonLevel is the highest feature level that every node of a config has, as far as is known: a node that is not heard may
// have the first one only. While nodes are awaited that may have any level, it is that of the config.
func CommonLevel(config *messages.Config, has func(node uint64) messages.Level) messages.Level {
	level, nodes := messages.NewestLevel, 0
	for _, n := range config.Nodes {
		if !n.Removed {
			nodes++
			level = min(level, has(n.Id))
		}
	}
	if len(config.Groups) == 1 && nodes < int(config.BootstrapExpect) {
		return config.FeatureLevel()
	}
	return max(level, config.FeatureLevel())
}

func checkRaiseLevel(config *messages.Config, ifVersion uint64, r *messages.RaiseLevel) *messages.Error {
	switch level := messages.Level(r.GetLevel()); {
	case ifVersion == 0:
		return invalid("a raise of the feature level must name the config whose nodes have it")
	case level < config.FeatureLevel():
		return messages.Errorf(messages.Code_CONFLICT, "the cluster has feature level %d, and never goes back to %d", config.FeatureLevel(), level)
	}
	return nil
}

func raiseLevel(next *messages.Config, r *messages.RaiseLevel) {
	if next.FeatureLevel() == messages.Level(r.Level) {
		return
	}
	next.Level = r.Level
	next.Change = fmt.Sprintf("feature level %d", r.Level)
}

// checkNodeLevel refuses a node that does not know all that may be in a log.
func checkNodeLevel(config *messages.Config, a *messages.AddNode) *messages.Error {
	if has := max(messages.FirstLevel, messages.Level(a.Level)); has < config.FeatureLevel() {
		return invalid("this node's eraft has feature level %d, but the cluster has %d, and never goes back: start it with a newer eraft", has, config.FeatureLevel())
	}
	return nil
}
