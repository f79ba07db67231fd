package geminiapi

import (
	"context"
	"iter"
	"strings"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
)

var _ provider.Imager = (*upstream)(nil)

// Images makes an image by a model that puts pictures into its answers (gemini-*-image): one message with the prompt and the
// pictures to edit, an answer that may hold both text and images.
func (u *upstream) Images(ctx context.Context, req *canon.ImageRequest) iter.Seq2[canon.ImageEvent, error] {
	return func(yield func(canon.ImageEvent, error) bool) {
		ev, err := u.image(ctx, req)
		yield(ev, err)
	}
}

func (u *upstream) image(ctx context.Context, req *canon.ImageRequest) (canon.ImageEvent, error) {
	chat, err := asChat(req)
	if err != nil {
		return canon.ImageEvent{}, u.own(err)
	}
	resp, err := canon.Collect(u.Stream(ctx, chat))
	if err != nil {
		return canon.ImageEvent{}, err
	}
	ev := canon.ImageEvent{Done: true, Usage: resp.Usage, Created: time.Now().Unix()}
	var said strings.Builder
	for _, p := range resp.Parts {
		switch {
		case p.Type == canon.PartImage && p.Media != nil && len(p.Media.Data) > 0:
			ev.Pictures = append(ev.Pictures, *p.Media)
		case p.Type == canon.PartText || p.Type == canon.PartRefusal:
			said.WriteString(p.Text)
		}
	}
	switch {
	case len(ev.Pictures) > 0:
		return ev, nil
	case resp.Finish.Reason == canon.FinishFilter:
		return ev, u.own(apierror.New(apierror.ContentFiltered, "the service refused to make this image"))
	}
	e := apierror.New(apierror.Unsupported, "%s answered without an image; ask for a model that makes some", req.ModelAsked)
	e.Param = "model"
	return ev, u.own(e)
}

// own names the account in an error.
func (u *upstream) own(err error) error {
	e := apierror.From(err)
	e.Provider, e.AccountID = u.env.Provider, u.env.AccountID
	return e
}

// asChat makes the message.
func asChat(req *canon.ImageRequest) (*canon.Request, error) {
	if req.N > 1 {
		e := apierror.New(apierror.Unsupported, "%s makes one image per request: leave n out", req.ModelAsked)
		e.Param = "n"
		return nil, e
	}
	parts := []canon.Part{{Type: canon.PartText, Text: req.Prompt}}
	if req.Sources != nil {
		list, err := req.Sources()
		if err != nil {
			return nil, err
		}
		for i := range list {
			parts = append(parts, canon.Part{Type: canon.PartImage, Media: &list[i]})
		}
	}
	return &canon.Request{
		Format: req.Format, Op: "images", ModelAsked: req.ModelAsked, Model: req.Model, Modalities: []string{"text", "image"},
		Messages: []canon.Message{{Role: canon.RoleUser, Parts: parts}},
	}, nil
}
