package main

// inNetwork are bugs between systems: who is believed, who is answered where, and what waits for what. The simulator has no
// connections, so unit tests see them.
var inNetwork = []mutant{
	{
		fault:  "an outsider has others called",
		file:   "router/access_rules.go",
		old:    "answerable = replyAddress != \"\" && string(field) == replyAddress",
		new:    "answerable = true",
		unseen: "TestRepliesToOutsidersStayOnTheirConnection sees it",
	},
	{
		fault:  "Raft's own messages wait behind data",
		file:   "actors/remoting/endpoint.go",
		old:    "return route{l.to.Address, n.bulk",
		new:    "return route{l.to.Address, false && n.bulk",
		unseen: "TestRaftNeverWaitsBehindData sees it",
	},
	{
		fault:  "outsiders that do not read take all there is",
		file:   "actors/remoting/queue.go",
		old:    "if int64(has) > b.limit-used {",
		new:    "if used > b.limit {",
		unseen: "TestGuestsThatDoNotRead sees it",
	},
	{
		fault:  "whoever claims a later boot epoch silences a node",
		file:   "actors/guard.go",
		old:    "\tif newest := g.epochs[id.Node]; newest > id.Epoch {",
		new:    "\tg.epochs[id.Node] = max(g.epochs[id.Node], id.Epoch)\n\tif newest := g.epochs[id.Node]; newest > id.Epoch {",
		unseen: "TestForgedEpochSilencesNobody sees it",
	},
	{
		fault:  "whoever is called is believed to be any node",
		file:   "actors/remoting/stream_reader.go",
		old:    "case ok && in.n.memberAt(in.dialed) == id.Node:",
		new:    "case ok:",
		unseen: "TestForgedEpochSilencesNobody sees it",
	},
	{
		fault:  "an earlier life of a node is heard",
		file:   "actors/remoting/stream_reader.go",
		old:    "in.n.guard.ConfirmEpoch(id)",
		new:    "_ = id",
		unseen: "TestForgedEpochSilencesNobody sees it",
	},
	{
		fault:  "who knows the id of a cluster is a member",
		file:   "actors/system.go",
		old:    "return id.Cluster == 0 || id.Node == 0",
		new:    "return id.Cluster == 0",
		unseen: "TestGuardRulesOfOneType and TestStreamsSpeakForOne see it",
	},
	{
		fault:  "a stream changes whom it speaks for",
		file:   "actors/remoting/stream_reader.go",
		old:    "case in.header != nil && !in.from.Unauthenticated() && from != in.from.Identity:",
		new:    "case in.header != nil && from.Cluster != in.from.Cluster && false:",
		unseen: "TestStreamsSpeakForOne sees it",
	},
	{
		fault:  "a message names another sender than its connection",
		file:   "actors/guard.go",
		old:    "if node != 0 && node != from.Node || epoch != 0 && epoch != from.Epoch {",
		new:    "if epoch != 0 && node != from.Node {",
		unseen: "TestStreamsSpeakForOne sees it",
	},
	{
		fault:  "a stranger changes where a member is",
		file:   "cluster/admission.go",
		old:    "if n := a.liveHolder(config, j.Node); n != nil {",
		new:    "if n := a.liveHolder(config, j.Node); n != nil && n.Id == 0 {",
		unseen: "TestHostileGuest sees it",
	},
	{
		fault:  "an outsider asks as often as it likes",
		file:   "actors/remoting/stream_reader.go",
		old:    "return in.rate.take(now) && in.n.clientRate.take(now)",
		new:    "return in.rate.take(now) || true",
		unseen: "TestGuestsThatAskWithoutEnd sees it",
	},
}
