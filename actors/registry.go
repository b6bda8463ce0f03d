package actors

import cmap "github.com/orcaman/concurrent-map"

// Proto.Actor keeps the actors of a system in 1,024 maps of SHARD_COUNT parts each: with the default of 32, every system
// begins with 32,768 maps that the garbage collector visits from then on. One lock for each of the 1,024 is enough. The
// number must not change while such a map is in use, so it is set before any code of ours can run.
func init() { cmap.SHARD_COUNT = 1 }
