// The JavaScript libraries as judges: one question per line comes in, one answer per line goes out. What is asked and what
// must come back is decided on the other side of the pipe.
import { createInterface } from "node:readline";
import OpenAI from "openai";
import Anthropic from "@anthropic-ai/sdk";
import { generateText, jsonSchema, Output, streamText, tool } from "ai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { createAnthropic } from "@ai-sdk/anthropic";

process.on("unhandledRejection", () => {}); // a rejected promise that nobody awaits is part of some answers

const retryAfter = (headers) => (headers?.get ? headers.get("retry-after") : headers?.["retry-after"]) ?? "";

function failure(e) {
  const body = e.error?.error ?? e.error ?? {};
  return { status: e.status ?? 0, type: String(body.type ?? e.type ?? ""), message: String(body.message ?? e.message), retry: retryAfter(e.headers), library: e.constructor.name };
}

const libraries = {
  "js openai": {
    client: (q) => new OpenAI({ baseURL: q.base + "/v1", apiKey: q.key, maxRetries: 0 }),
    async ask(q) {
      const client = this.client(q);
      if (!q.ask.Stream) return openAIAnswer(await client.chat.completions.create(q.native));
      const runner = client.chat.completions.stream(q.native);
      let pieces = 0;
      let reasoning = "";
      for await (const chunk of runner) {
        const delta = chunk.choices[0]?.delta;
        reasoning += delta?.reasoning_content ?? "";
        if (delta?.content) {
          pieces++;
          if (q.ask.Leave) {
            runner.abort();
            return { text: delta.content, pieces };
          }
        }
      }
      const whole = await runner.finalChatCompletion();
      if (reasoning) whole.choices[0].message.reasoning_content = reasoning;
      delete whole.choices[0].message.parsed;
      for (const c of whole.choices[0].message.tool_calls ?? []) delete c.function.parsed_arguments;
      return { ...openAIAnswer(whole), pieces };
    },
    async models(q) {
      const ids = [];
      for await (const m of this.client(q).models.list()) ids.push(m.id);
      if (ids.length) await this.client(q).models.retrieve(ids[0]);
      return ids;
    },
  },
  "js anthropic": {
    client: (q) => new Anthropic({ baseURL: q.base, apiKey: q.key, maxRetries: 0 }),
    async ask(q) {
      const client = this.client(q);
      if (!q.ask.Stream) return anthropicAnswer(await client.messages.create(q.native));
      const stream = client.messages.stream(q.native);
      let pieces = 0;
      for await (const event of stream) {
        if (event.type === "content_block_delta" && event.delta.type === "text_delta") {
          pieces++;
          if (q.ask.Leave) {
            stream.abort();
            return { text: event.delta.text, pieces };
          }
        }
      }
      return { ...anthropicAnswer(await stream.finalMessage()), pieces };
    },
    async models(q) {
      const ids = [];
      for await (const m of this.client(q).models.list({ limit: 2 })) ids.push(m.id);
      if (ids.length) await this.client(q).models.retrieve(ids[0]);
      return ids;
    },
    async count(q) {
      const { max_tokens, ...rest } = q.native;
      return (await this.client(q).messages.countTokens(rest)).input_tokens;
    },
  },
  "ai openai-compatible": {
    ask: (q) => aiAsk(q, createOpenAICompatible({ name: "patchbay", baseURL: q.base + "/v1", apiKey: q.key, includeUsage: true, supportsStructuredOutputs: true })(q.ask.Model)),
  },
  "ai anthropic": {
    ask: (q) => aiAsk(q, createAnthropic({ baseURL: q.base + "/v1", apiKey: q.key })(q.ask.Model)),
  },
};

function openAIAnswer(r) {
  const { message, finish_reason } = r.choices[0];
  return {
    text: message.content ?? "", reasoning: message.reasoning_content ?? "", finish: finish_reason, model: r.model, raw: message,
    calls: (message.tool_calls ?? []).map((c) => ({ id: c.id, name: c.function.name, args: JSON.parse(c.function.arguments) })),
    in: r.usage?.prompt_tokens ?? 0, out: r.usage?.completion_tokens ?? 0,
    cached: r.usage?.prompt_tokens_details?.cached_tokens ?? 0, thought: r.usage?.completion_tokens_details?.reasoning_tokens ?? 0,
  };
}

function anthropicAnswer(r) {
  const u = r.usage;
  const all = (type, field) => r.content.filter((b) => b.type === type).map((b) => b[field]).join("");
  const content = r.content.map(({ parsed_output, ...block }) => block); // the library's own addition
  return {
    text: all("text", "text"), reasoning: all("thinking", "thinking"), finish: r.stop_reason, model: r.model,
    calls: r.content.filter((b) => b.type === "tool_use").map((b) => ({ id: b.id, name: b.name, args: b.input })),
    in: u.input_tokens + (u.cache_read_input_tokens ?? 0) + (u.cache_creation_input_tokens ?? 0), out: u.output_tokens,
    cached: u.cache_read_input_tokens ?? 0, thought: u.output_tokens_details?.thinking_tokens ?? 0, raw: { role: "assistant", content },
  };
}

// The AI SDK has its own words for everything. An assistant turn goes back as the messages it returned.
function aiMessages(turns) {
  const out = [];
  for (const m of turns ?? []) {
    if (m.Raw) {
      out.push(...m.Raw);
      continue;
    }
    for (const r of m.Results ?? []) {
      let output = { type: r.Failed ? "error-text" : "text", value: r.Text };
      if (r.Image) output = { type: "content", value: [{ type: "text", text: r.Text }, { type: "file", mediaType: "image/png", data: { type: "data", data: r.Image.split(",")[1] } }] };
      out.push({ role: "tool", content: [{ type: "tool-result", toolCallId: r.ID, toolName: r.Name, output }] });
    }
    const content = [];
    if (m.Text) content.push({ type: "text", text: m.Text });
    if (m.Image) content.push({ type: "image", image: m.Image.startsWith("data:") ? m.Image : new URL(m.Image) });
    if (m.PDF) content.push({ type: "file", mediaType: "application/pdf", filename: "paper.pdf", data: m.PDF });
    if (content.length) out.push({ role: m.Role, content });
  }
  return out;
}

async function aiAsk(q, model) {
  const a = q.ask;
  const abort = new AbortController();
  const settings = {
    model, maxRetries: 0, abortSignal: abort.signal, maxOutputTokens: a.Max, messages: aiMessages(a.Messages),
    ...(a.System ? { instructions: a.System } : {}),
    ...(a.Temperature != null ? { temperature: a.Temperature } : {}),
    ...(a.TopP != null ? { topP: a.TopP } : {}),
    ...(a.Seed != null ? { seed: a.Seed } : {}),
    ...(a.Stop?.length ? { stopSequences: a.Stop } : {}),
    ...(a.Tools?.length ? { tools: Object.fromEntries(a.Tools.map((t) => [t.Name, tool({ description: t.Description, inputSchema: jsonSchema(JSON.parse(t.Schema)) })])) } : {}),
    ...(a.Choice ? { toolChoice: ["auto", "none", "required"].includes(a.Choice) ? a.Choice : { type: "tool", toolName: a.Choice } } : {}),
    ...(a.Schema ? { output: Output.object({ schema: jsonSchema(JSON.parse(a.Schema)) }) } : {}),
    providerOptions: {
      anthropic: { ...(a.Think ? { thinking: { type: "enabled", budgetTokens: a.Think } } : {}), ...(a.NoParallel ? { disableParallelToolUse: true } : {}) },
      patchbay: { ...(a.Effort ? { reasoningEffort: a.Effort } : {}), ...(a.NoParallel ? { parallel_tool_calls: false } : {}), ...(a.Extra ?? {}) },
    },
  };
  if (!a.Stream) return aiAnswer(await generateText(settings));
  let pieces = 0;
  let failed;
  const r = streamText({ ...settings, onError: ({ error }) => (failed ??= error) });
  for await (const part of r.fullStream) {
    if (part.type === "error") failed ??= part.error;
    if (part.type === "text-delta") {
      pieces++;
      if (a.Leave) {
        abort.abort();
        return { text: part.text, pieces };
      }
    }
  }
  if (failed) throw failed;
  const [text, reasoningText, toolCalls, finishReason, usage, response] = await Promise.all([r.text, r.reasoningText, r.toolCalls, r.finishReason, r.usage, r.response]);
  return { ...aiAnswer({ text, reasoningText, toolCalls, finishReason, usage, response }), pieces };
}

function aiAnswer(r) {
  const u = r.usage ?? {};
  return {
    text: r.text, reasoning: r.reasoningText ?? "", finish: r.finishReason, model: r.response?.modelId ?? "", raw: r.response?.messages ?? [],
    calls: r.toolCalls.map((c) => ({ id: c.toolCallId, name: c.toolName, args: c.input })),
    in: u.inputTokens ?? 0, out: u.outputTokens ?? 0, cached: u.inputTokenDetails?.cacheReadTokens ?? u.cachedInputTokens ?? 0,
    thought: u.outputTokenDetails?.reasoningTokens ?? u.reasoningTokens ?? 0,
  };
}

function aiFailure(e) {
  let body = {};
  try {
    body = JSON.parse(e.responseBody ?? "{}").error ?? {};
  } catch {}
  const inner = e.statusCode === undefined && e.cause ? e.cause : e;
  return { status: e.statusCode ?? 0, type: String(body.type ?? inner.type ?? ""), message: String(body.message ?? inner.message ?? e), retry: retryAfter(e.responseHeaders), library: e.constructor?.name ?? "string" };
}

for await (const line of createInterface({ input: process.stdin })) {
  const q = JSON.parse(line);
  const lib = libraries[q.sdk];
  let out = {};
  try {
    if (q.op === "models") out = { ids: lib.models ? await lib.models(q) : null };
    else if (q.op === "count") out = { tokens: lib.count ? await lib.count(q) : -1 };
    else out = { answer: await lib.ask(q) };
  } catch (e) {
    const err = q.sdk.startsWith("ai ") ? aiFailure(e) : failure(e);
    out = q.op === "ask" ? { answer: { err } } : { err: err.message };
  }
  process.stdout.write(JSON.stringify({ id: q.id, ...out }) + "\n");
}
