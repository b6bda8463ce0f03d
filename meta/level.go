package meta

import (
	"fmt"

	"github.com/eraft-io/eraft/messages"
)

// RaiseLevel returns the command that raises the cluster's feature level to the highest one that every node of the config has
// committed to; nil: it is not higher than the config's, or not all nodes that bootstrap awaits are in.
//
// A node commits to a level on its disk: no program below that level starts there again. So a commitment also holds for a node
// that is silent now. The command names the version of the config whose nodes have committed, so that no node is admitted in between.
func RaiseLevel(config *messages.Config, committed func(node uint64) messages.Level) *messages.MetaCommand {
	level := CommonLevel(config, committed)
	if level <= config.FeatureLevel() {
		return nil
	}
	return &messages.MetaCommand{IfVersion: config.Version, Op: &messages.MetaCommand_RaiseLevel{
		RaiseLevel: &messages.RaiseLevel{Level: uint32(level)},
	}}
}

// CommonLevel is the highest feature level that every node of a config is known to have, and never below the config's. While
// bootstrap awaits nodes, which may have any level, it is the config's.
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

// checkNodeLevel refuses a node whose program is below the cluster's feature level: it would not understand everything in a log.
func checkNodeLevel(config *messages.Config, a *messages.AddNode) *messages.Error {
	if has := max(messages.FirstLevel, messages.Level(a.Level)); has < config.FeatureLevel() {
		return invalid("this node's eraft has feature level %d, but the cluster has %d, and never goes back: start it with a newer eraft", has, config.FeatureLevel())
	}
	return nil
}
