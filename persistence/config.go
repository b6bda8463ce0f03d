package persistence

import (
	"fmt"

	"github.com/eraft-io/eraft/messages"
)

// configKey is the key of a copy of the newest config that the node has seen. It is in the engine of the logs, where a small synced
// write is cheap.
var configKey = []byte("c/config")

// SaveConfig makes the copy durable.
func SaveConfig(engine Engine, config *messages.Config) error {
	batch := new(Batch)
	if err := putRecord(batch, configKey, config); err != nil {
		return err
	}
	if err := engine.Write(batch, true); err != nil {
		return fmt.Errorf("save config: %w", err)
	}
	return nil
}

// LoadConfig reads the copy; nil: there is none. A damaged copy is a CorruptError: what else the disk has lost is unknown.
func LoadConfig(engine Engine) (*messages.Config, error) {
	value, found, err := engine.Get(configKey)
	if err != nil || !found {
		return nil, err
	}
	config := new(messages.Config)
	return config, decodeRecord(configKey, value, config)
}
