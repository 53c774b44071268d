package trace

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

//go:embed timeline.html
var page string

// maxBars bounds a timeline: a browser draws no more.
const maxBars = 50_000

var errEnough = errors.New("enough")

type bar struct {
	Op     string `json:"op"`
	Row    string `json:"row"`
	ID     string `json:"id"`
	Start  int64  `json:"start"`
	End    int64  `json:"end"`
	Failed bool   `json:"failed"`
	Text   string `json:"text"`
}

type choice struct {
	Name string   `json:"name"`
	IDs  []string `json:"ids"`
}

// Timeline writes the beginning of the history as one HTML file that needs nothing else.
func (t *Trace) Timeline(w io.Writer) error {
	s, err := t.survey()
	if err != nil {
		return err
	}
	var data struct {
		About   string   `json:"about"`
		Sockets []choice `json:"sockets"`
		Events  []bar    `json:"events"`
	}
	var first int64
	seen := map[uint64]bool{}
	err = t.Walk(func(e *Event) error {
		if len(data.Events) == maxBars {
			return errEnough
		}
		if first == 0 {
			first = e.Start
		}
		seen[e.ID] = true
		data.Events = append(data.Events, bar{
			e.Op.String(), fmt.Sprintf("%d/%d", e.PID, e.TID), fmt.Sprint(e.ID), e.Start - first, e.End - first,
			e.Result < 0, fmt.Sprintf("%d %d/%d %s", e.Seq, e.PID, e.TID, e.Record.String()),
		})
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	data.About = fmt.Sprintf("%d of %d events.", len(data.Events), s.events)
	for _, id := range slices.Sorted(maps.Keys(seen)) {
		k := s.sockets[id]
		switch {
		case k == nil || !k.named:
		case k.peer == nil:
			data.Sockets = append(data.Sockets, choice{fmt.Sprintf("%s -> %s", k.local, k.remote), []string{fmt.Sprint(id)}})
		case k.how != ByAccept:
			data.Sockets = append(data.Sockets, choice{fmt.Sprintf("%s <-> %s", k.local, k.remote), []string{fmt.Sprint(id), fmt.Sprint(k.peer.id)}})
		}
	}
	b, err := json.Marshal(data) // which escapes < and >
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, strings.Replace(page, "{{.}}", string(b), 1))
	return err
}
