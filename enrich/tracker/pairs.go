package tracker

// In a pid namespace, too, pids are given out in order, and in the same order as in all others. So of the children of
// one namespace the one with the higher number there has the higher pid here: what is known of some tells which fork
// made another.

// A pair is what a child is called in its parent's namespace and where its pid stands (see pidClock).
type pair struct{ number, place int64 }

// pairsKept is how many children of a namespace are remembered, namespacesKept of how many namespaces.
const (
	pairsKept      = 64
	namespacesKept = 1024
)

type pairs struct {
	ring  [pairsKept]pair
	count int
}

// pairUp remembers a child.
func (m *machine) pairUp(init uint32, number, place int64) {
	if init == 0 || init == initPID {
		return
	}
	p := m.pairs[init]
	if p == nil {
		for other := range m.pairs {
			if len(m.pairs) < namespacesKept {
				break
			}
			delete(m.pairs, other)
		}
		p = &pairs{}
		m.pairs[init] = p
	}
	p.ring[p.count%pairsKept] = pair{number, place}
	p.count++
}

// misfit says how badly a number goes with a place: as many as there are pairs in another order, and by how many the
// number is off what the nearest neighbour leads to expect.
func (p *pairs) misfit(number, place int64) (crossed int, off int64) {
	if p == nil {
		return 0, 0
	}
	near := pair{place: 1 << 62}
	for _, q := range p.ring[:min(p.count, pairsKept)] {
		if (q.number < number) != (q.place < place) {
			crossed++
		}
		if distance(q.place, place) < distance(near.place, place) {
			near = q
		}
	}
	return crossed, distance(number-near.number, place-near.place)
}

func distance(a, b int64) int64 {
	if a < b {
		return b - a
	}
	return a - b
}
