package responses

import "patchbay/backend/canon"

// AppendResponse renders a whole answer: what the stream's last event would hold.
func (Codec) AppendResponse(dst []byte, req *canon.Request, resp *canon.Response) ([]byte, error) {
	if len(resp.Whole) > 0 {
		return appendModelBack(dst, resp.Whole, req.ModelAsked), nil
	}
	r := renderer{req: req, usage: canon.UnknownUsage(), started: true, env: newEnvelope(req, resp.ID, resp.Created)}
	if resp.Usage != nil {
		r.usage = *resp.Usage
	}
	var events []byte // on the way to the items; nobody reads them
	for i := range resp.Parts {
		p := &livePart{index: i, part: resp.Parts[i], summary: -1}
		nameBack(req, &p.part)
		events = r.end(r.open(events[:0], p), p)
	}
	r.release(events[:0])
	out := resultOf(resp.Finish)
	return r.env.append(dst, ending{status: out.status, incomplete: out.incomplete, usage: &r.usage}, r.output), nil
}
