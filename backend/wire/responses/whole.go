package responses

import (
	"bytes"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire/oai"
)

// ReadWhole reads an answer in one piece and yields the events that a stream would have given.
func (x *Exchange) ReadWhole(body []byte) canon.Stream {
	resp, err := x.whole(body)
	if err != nil {
		return func(yield func(canon.Event, error) bool) { yield(canon.Event{}, err) }
	}
	return resp.Events()
}

func (x *Exchange) whole(body []byte) (*canon.Response, *apierror.Error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	switch {
	case len(body) == 0:
		return nil, apierror.New(apierror.Upstream5xx, "the service sent an empty answer")
	case oai.LooksHTML(body):
		return nil, oai.HTMLError(200, body)
	}
	o, err := canon.ParseObject(body)
	if err != nil {
		e := apierror.New(apierror.Upstream5xx, "the service sent an answer that is no JSON")
		e.Err = err
		return nil, e
	}
	if e := o.Get("error"); !oai.IsNull(e) {
		return nil, failure(body, body)
	}
	output := o.Get("output")
	if oai.IsNull(output) || output[0] != '[' {
		if oai.IsErrorBody(body) {
			return nil, oai.InsideError(body)
		}
		return nil, apierror.New(apierror.Upstream5xx, "the service sent an answer without output")
	}
	switch status := oai.Text(o.Get("status")); status {
	case statusFailed, "cancelled":
		return nil, failure(body, body)
	case "queued", statusRunning:
		return nil, apierror.New(apierror.Upstream5xx, "the service has not finished its answer (%s)", status)
	}
	resp := x.fold(body, output)
	resp.ID, resp.Model = oai.Text(o.Get("id")), oai.Text(o.Get("model"))
	resp.Created, resp.Dropped = max(oai.Number(o.Get("created_at")), 0), x.Dropped
	if u, ok := oai.ParseUsage(o.Get("usage")); ok {
		resp.Usage = &u
	}
	if x.verbatim {
		resp.Whole = body
	}
	return resp, nil
}

// fold runs the items through the stream's own reader, so that both forms are read alike, and takes the parts.
func (x *Exchange) fold(body, output []byte) *canon.Response {
	var fold canon.Fold
	whole := *x
	whole.verbatim = false
	s := reader{x: &whole, yield: func(ev canon.Event, _ error) bool { fold.Add(ev); return true }, started: true}
	list := oai.WalkArray(output)
	for n := 0; list.Next() && n <= maxIndex && !s.finished; n++ {
		s.itemDone(n, list.Value)
	}
	finish := s.finish("response.completed", body)
	s.release(false)
	resp := fold.Response()
	if !s.finished { // else a stop string ended it
		resp.Finish = finish
	}
	if resp.Finish.Reason == canon.FinishLength {
		kept := resp.Parts[:0]
		for _, p := range resp.Parts {
			if p.Type != canon.PartToolCall || !p.BadArgs { // cut at the limit: nobody can run it
				kept = append(kept, p)
			}
		}
		resp.Parts = kept
	}
	return resp
}
