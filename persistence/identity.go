package persistence

import (
	"encoding/json"
	"fmt"

	"github.com/eraft-io/eraft/messages"
)

// Identity says which node of which cluster a data directory belongs to. Each of its two engines has a copy, see Directory.
type Identity struct {
	Format  int             `json:"format"`
	Name    string          `json:"name"`
	Token   uint64          `json:"token"`            // names the directory; drawn at random once, by the first start
	Epoch   messages.Epoch  `json:"epoch"`            // boot epoch, raised by every start; only the log engine's counts
	Cluster uint64          `json:"cluster"`          // 0: none yet
	Node    messages.NodeID `json:"node"`             // 0: none yet
	Paired  bool            `json:"paired,omitempty"` // in the log engine: the state engine has its copy
	Level   messages.Level  `json:"level,omitempty"`  // no program below this feature level may start here again; 0: any may
}

// Format is the layout of data directories that this program writes.
const Format = 2

// formatWithLevels is the same layout in a directory with a Level: programs that know no levels refuse it.
const formatWithLevels = 3

var identityKey = []byte("node/identity")

// LoadIdentity reads an engine's identity record; found is false in a new engine. It fails if the record is damaged, or of a newer format.
func LoadIdentity(r Reader) (id Identity, found bool, err error) {
	value, found, err := r.Get(identityKey)
	if err != nil || !found {
		return Identity{}, false, err
	}
	var record struct {
		Sum uint32
		ID  json.RawMessage
	}
	if err := json.Unmarshal(value, &record); err != nil || CRC32C(0, record.ID) != record.Sum {
		return Identity{}, false, &CorruptError{Where: "identity record", What: "its checksum or format is wrong; " + ReplaceNode}
	}
	if err := json.Unmarshal(record.ID, &id); err != nil {
		return Identity{}, false, &CorruptError{Where: "identity record", What: "its format is wrong; " + ReplaceNode}
	}
	if id.Format != Format && id.Format != formatWithLevels {
		return Identity{}, false, fmt.Errorf("the data directory has format %d, but this eraft knows only %d: "+
			"start the eraft that wrote it, or let this node join again with an empty directory", id.Format, Format)
	}
	return id, true, nil
}

// saveIdentity makes an engine's identity record durable.
func saveIdentity(engine Engine, id Identity) error {
	if id.Format = Format; id.Level > messages.FirstLevel {
		id.Format = formatWithLevels
	}
	body, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("encode identity: %w", err)
	}
	record, err := json.Marshal(map[string]any{"Sum": CRC32C(0, body), "ID": json.RawMessage(body)})
	if err != nil {
		return fmt.Errorf("encode identity: %w", err)
	}
	batch := new(Batch)
	batch.Put(identityKey, record)
	if err := engine.Write(batch, true); err != nil {
		return fmt.Errorf("save identity: %w", err)
	}
	return nil
}
