package rocksdb_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linxGnu/grocksdb"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/rocksdb"
)

// filler writes records of random size to a log, each synced.
type filler struct {
	t      *testing.T
	e      *rocksdb.Engine
	dir    string
	random *rand.Rand
	bytes  *rand.ChaCha8
	count  int
	mark   []byte // what SYNCED said before the last write
}

func (f *filler) write(size int) {
	f.mark = f.synced()
	value := make([]byte, size)
	_, _ = f.bytes.Read(value)
	batch := new(persistence.Batch)
	batch.Put(fmt.Appendf(nil, "%06d", f.count), value)
	require.NoError(f.t, f.e.Write(batch, true))
	f.count++
}

// wal is the write-ahead file that is written to, and all of its bytes.
func (f *filler) wal() (name string, content []byte) {
	name = f.newest()
	content, err := os.ReadFile(name)
	require.NoError(f.t, err)
	return name, content
}

// newest is the write-ahead file that is written to.
func (f *filler) newest() (name string) {
	files, err := os.ReadDir(f.dir)
	require.NoError(f.t, err)
	for _, file := range files {
		if filepath.Ext(file.Name()) == ".log" {
			name = filepath.Join(f.dir, file.Name())
		}
	}
	require.NotEmpty(f.t, name)
	return name
}

// recycle writes until a write-ahead file lies over an older one, and names that.
func (f *filler) recycle() string {
	seen := make(map[string]os.FileInfo)
	var last string
	for range 500 {
		f.write(1 << 20)
		name := f.newest()
		if name == last {
			continue
		}
		info, err := os.Stat(name)
		require.NoError(f.t, err)
		for old, was := range seen {
			if os.SameFile(was, info) {
				return old
			}
		}
		seen[name], last = info, name
	}
	f.t.Fatal("no file is recycled")
	return ""
}

func (f *filler) synced() []byte {
	mark, err := os.ReadFile(filepath.Join(f.dir, "SYNCED"))
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(f.t, err)
	}
	return mark
}

// killed is a copy of the directory as a kill in the middle of the last write would leave it, with other bytes in its newest
// write-ahead file.
func (f *filler) killed(wal []byte) string {
	name, _ := f.wal()
	for {
		before := listing(f.t, f.dir)
		to := filepath.Join(f.t.TempDir(), "[a-") // not a pattern
		require.NoError(f.t, os.Mkdir(to, 0o700))
		err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil || d.IsDir():
				return err
			case path == name:
				return os.WriteFile(filepath.Join(to, d.Name()), wal, 0o600)
			case filepath.Ext(path) == ".sst":
				return os.Link(path, filepath.Join(to, d.Name()))
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(to, d.Name()), b, 0o600)
		})
		if err == nil && listing(f.t, f.dir) == before { // no flush came between
			require.NoError(f.t, os.WriteFile(filepath.Join(to, "SYNCED"), f.mark, 0o600))
			return to
		}
	}
}

func listing(t *testing.T, dir string) (all string) {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && filepath.Ext(e.Name()) != ".log" && e.Name() != "LOG" {
			all += fmt.Sprintln(e.Name(), info.Size())
		}
	}
	return all
}

// records counts what an engine opened on dir holds, which must be the first ones, without a gap.
func records(t *testing.T, dir string) int {
	e, err := rocksdb.Open(dir, rocksdb.Log)
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	count := 0
	require.NoError(t, e.Scan(nil, nil, func(key, _ []byte) bool {
		require.Equal(t, fmt.Sprintf("%06d", count), string(key))
		count++
		return true
	}))
	return count
}

// changed is where two contents of a file differ first, and the end of where they do.
func changed(a, b []byte) (from, to int) {
	for to = len(b); to > 0 && to <= len(a) && a[to-1] == b[to-1]; to-- {
	}
	for from < min(len(a), to) && a[from] == b[from] {
		from++
	}
	return from, to
}

// A write-ahead file that lies over an older one ends where its newest record ends, or where that one is torn, whichever of
// its sectors reached the disk; one that is damaged before that is refused.
func TestRecycledFiles(t *testing.T) {
	for _, seed := range []uint64{1, 2} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			f := &filler{t: t, dir: filepath.Join(t.TempDir(), "[a-"), random: rand.New(rand.NewPCG(seed, 0)), bytes: rand.NewChaCha8([32]byte{byte(seed)})}
			f.e = (&disk{dir: f.dir}).Open(t).(*rocksdb.Engine)
			old := f.recycle()
			name, wal := f.wal()
			lost := f.killed(wal) // with the new name of the file, and what was written to it
			require.NoError(t, os.Rename(filepath.Join(lost, filepath.Base(name)), filepath.Join(lost, filepath.Base(old))))
			require.Equal(t, f.count-1, records(t, lost))
			for range 12 {
				f.write(f.random.IntN(1 << f.random.IntN(19)))
				name, before := f.wal()
				f.write(f.random.IntN(1 << f.random.IntN(19)))
				now, after := f.wal()
				if now != name {
					continue // a file of its own
				}
				from, to := changed(before, after)
				t.Run("torn", func(t *testing.T) { f.torn(before, after, from, to) })
				t.Run("damaged", func(t *testing.T) { f.damaged(after, from) })
			}
			_, wal = f.wal()
			require.Equal(t, f.count, records(t, f.killed(wal)))
		})
	}
}

// torn lets some sectors of the last record not reach the disk.
func (f *filler) torn(before, after []byte, from, to int) {
	wal := bytes.Clone(after)
	for sector := from / 512; sector <= (to-1)/512; sector++ {
		if f.random.IntN(2) == 0 {
			copy(wal[sector*512:min(sector*512+512, len(wal))], before[min(sector*512, len(before)):])
		}
	}
	want := f.count - 1
	if bytes.Equal(wal, after) {
		want = f.count
	}
	require.Equal(f.t, want, records(f.t, f.killed(wal)))
}

// damaged flips a bit that is older than the last record: any, or one with which the first record seems to be of a later file.
func (f *filler) damaged(after []byte, from int) {
	const number = 10 // its highest byte, in the header of the file's first record
	for _, at := range []int{f.random.IntN(from), number} {
		wal := bytes.Clone(after)
		wal[at] ^= 1 << f.random.IntN(8)
		_, err := rocksdb.Open(f.killed(wal), rocksdb.Log)
		corrupt := new(persistence.CorruptError)
		require.ErrorAs(f.t, err, &corrupt)
		require.ErrorContains(f.t, err, "let it join again")
	}
}

// A log that was written by an engine that does not recycle is read like any other, and judged like any other.
func TestFilesThatAreNotRecycled(t *testing.T) {
	dir := t.TempDir()
	o := grocksdb.NewDefaultOptions()
	defer o.Destroy()
	o.SetCreateIfMissing(true)
	db, err := grocksdb.OpenDb(o, dir)
	require.NoError(t, err)
	synced := grocksdb.NewDefaultWriteOptions()
	defer synced.Destroy()
	synced.SetSync(true)
	for i := range 100 {
		require.NoError(t, db.Put(synced, fmt.Appendf(nil, "%06d", i), make([]byte, 1000)))
	}
	f := &filler{t: t, dir: dir}
	_, wal := f.wal()
	require.Equal(t, 100, records(t, f.killed(wal)))
	require.Equal(t, 99, records(t, f.killed(wal[:len(wal)-3])))
	wal[len(wal)/2] ^= 1
	_, err = rocksdb.Open(f.killed(wal), rocksdb.Log)
	require.ErrorContains(t, err, "cannot be read")
	db.Close()
}

// A log that ends before what was acknowledged is refused, however it came to that: its end was cut off, or is zero, or an older
// table of contents knows less. A write that was cut off itself is not: nobody was told of it.
func TestLostTail(t *testing.T) {
	f := &filler{t: t, dir: t.TempDir(), random: rand.New(rand.NewPCG(1, 0)), bytes: rand.NewChaCha8([32]byte{1})}
	f.e = (&disk{dir: f.dir}).Open(t).(*rocksdb.Engine)
	for range 70 {
		f.write(1 << 20) // some are in tables
	}
	for range 400 {
		f.write(1000)
	}
	const lost = 200 << 10
	_, before := f.wal()
	f.write(1000)
	_, wal := f.wal()
	_, end := changed(before, wal)
	f.mark = f.synced()
	for name, c := range map[string]struct {
		wal  []byte
		more func(dir string)
	}{
		"cut":        {wal: wal[:end-lost]},
		"zero":       {wal: append(bytes.Clone(wal[:end-lost]), make([]byte, lost)...)},
		"all of it":  {wal: nil},
		"last write": {wal: wal[:end-3]},
		"older table of contents": {wal, func(dir string) {
			files, err := os.ReadDir(dir)
			require.NoError(t, err)
			for _, file := range files {
				name := filepath.Join(dir, file.Name())
				if strings.HasPrefix(file.Name(), "MANIFEST-") {
					info, err := file.Info()
					require.NoError(t, err)
					require.NoError(t, os.Truncate(name, info.Size()*3/4))
				}
				if filepath.Ext(name) == ".log" {
					require.NoError(t, os.Remove(name))
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := f.killed(c.wal)
			if c.more != nil {
				c.more(dir)
			}
			for range 2 {
				_, err := rocksdb.Open(dir, rocksdb.Log)
				corrupt := new(persistence.CorruptError)
				require.ErrorAs(t, err, &corrupt)
				require.ErrorContains(t, err, "it was synced, and acknowledged")
				require.ErrorContains(t, err, "let it join again")
			}
		})
	}
	require.Equal(t, f.count, records(t, f.killed(wal)))
	f.write(1000)
	_, after := f.wal()
	from, to := changed(wal, after)
	require.Equal(t, f.count-1, records(t, f.killed(after[:(from+to)/2])), "it was cut off by the crash")
	for _, unknown := range [][]byte{nil, make([]byte, 12), []byte("half"), bytes.Repeat([]byte{1}, 12)} {
		f.mark = unknown
		require.Less(t, records(t, f.killed(after[:end-lost])), f.count, "nothing to compare with")
	}
}
