package openaicompat

import (
	"context"
	"iter"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
	"patchbay/backend/wire/openai"
)

var _ provider.Imager = (*upstream)(nil)

// Images makes images. The client's body goes on with the name of the model changed, nothing else.
func (u *upstream) Images(ctx context.Context, req *canon.ImageRequest) iter.Seq2[canon.ImageEvent, error] {
	return func(yield func(canon.ImageEvent, error) bool) {
		call, err := u.call(ctx, "/images/"+req.Op)
		if err != nil {
			yield(canon.ImageEvent{}, call.Fill(err))
			return
		}
		contentType, body, err := openai.ImageBody(req)
		if err != nil {
			yield(canon.ImageEvent{}, call.Fill(err))
			return
		}
		call.Body = body
		call.Header.Set("Content-Type", contentType)
		if req.Stream {
			call.Header.Set("Accept", "text/event-stream")
		}
		a, err := transport.Do(ctx, u.env.HTTP, call)
		if err != nil {
			yield(canon.ImageEvent{}, apierror.From(err))
			return
		}
		if !a.OK() {
			e := openai.ParseError(a.Status, a.Header, a.ErrorBody())
			e.Upstream.Status = a.Status
			yield(canon.ImageEvent{}, call.Fill(e))
			return
		}
		defer a.Body.Close()
		for ev, err := range openai.ReadImages(a.Body) {
			if err != nil {
				yield(canon.ImageEvent{}, call.Fill(err))
				return
			}
			if !yield(ev, nil) {
				return
			}
		}
	}
}
