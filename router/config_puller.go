package router

// configPuller decides when the Router asks a node for a newer config, and which node. It asks one node at a time, with a
// pause after each. It is pure: where a method returns true, the Router must pull now, and call tick after the pause.
type configPuller struct {
	newerWanted bool // until a newer config is received
	sourcesLeft int  // nodes still to be asked whether they have a newer config
	pausing     bool // a node was asked, and the pause is not over
	asked       int  // nodes asked so far, all in all
}

// wantNewer asks for a newer config until one is received.
func (p *configPuller) wantNewer() (pull bool) {
	p.newerWanted = true
	return p.begin()
}

// wantFromAll asks each of so many sources once.
func (p *configPuller) wantFromAll(sources int) (pull bool) {
	p.sourcesLeft = sources
	return p.begin()
}

// received ends what was wanted: a newer config has come.
func (p *configPuller) received() { p.newerWanted, p.sourcesLeft = false, 0 }

// tick is the end of a pause.
func (p *configPuller) tick() (pull bool) {
	p.pausing = false
	return (p.newerWanted || p.sourcesLeft > 0) && p.begin()
}

func (p *configPuller) begin() bool {
	if p.pausing {
		return false
	}
	p.pausing, p.sourcesLeft = true, max(0, p.sourcesLeft-1)
	return true
}

// next is the source to ask now: they take turns. False: there is none.
func (p *configPuller) next(sources []string) (address string, ok bool) {
	if len(sources) == 0 {
		return "", false
	}
	address = sources[p.asked%len(sources)]
	p.asked++
	return address, true
}
