// The JavaScript libraries as judges: one question per line comes in, one answer per line goes out. What is asked and what
// must come back is decided on the other side of the pipe.
import { createInterface } from "node:readline";
import OpenAI from "openai";
import Anthropic from "@anthropic-ai/sdk";
import { generateText, jsonSchema, Output, streamText, tool } from "ai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { GoogleGenAI } from "@google/genai";
import { Ollama } from "ollama";

process.on("unhandledRejection", () => {}); // a rejected promise that nobody awaits is part of some answers

const retryAfter = (headers) => (headers?.get ? headers.get("retry-after") : headers?.["retry-after"]) ?? "";

function failure(e) {
  if (e.name === "ResponseError") return { status: e.status_code, type: "", message: e.error, retry: "", library: e.name };
  if (e.name === "ApiError") return geminiFailure(e);
  const body = e.error?.error ?? e.error ?? {};
  return { status: e.status ?? 0, type: String(body.type ?? e.type ?? ""), message: String(body.message ?? e.message), retry: retryAfter(e.headers), library: e.constructor.name };
}

// @google/genai puts the whole body of an error into its message.
function geminiFailure(e) {
  let body = {};
  try {
    body = JSON.parse(e.message).error ?? {};
  } catch {}
  const retry = (body.details ?? []).map((d) => d.retryDelay).find(Boolean) ?? "";
  return { status: e.status, type: body.status ?? "", message: body.message ?? e.message, retry: retry.replace(/s$/, ""), library: e.name };
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
  "js openai responses": {
    client: (q) => new OpenAI({ baseURL: q.base + "/v1", apiKey: q.key, maxRetries: 0 }),
    async ask(q) {
      const client = this.client(q);
      if (!q.ask.Stream) return responsesAnswer(await client.responses.create(q.native));
      const stream = client.responses.stream(q.native);
      let pieces = 0;
      for await (const event of stream) {
        if (event.type === "response.failed") throw Object.assign(new Error(event.response.error.message), { type: event.response.error.code });
        if (event.type !== "response.output_text.delta") continue;
        pieces++;
        if (q.ask.Leave) {
          stream.abort();
          return { text: event.delta, pieces };
        }
      }
      return { ...responsesAnswer(await stream.finalResponse()), pieces };
    },
    models: (q) => libraries["js openai"].models(q),
    async count(q) {
      return (await this.client(q).responses.inputTokens.count({ model: q.native.model, input: q.native.input })).input_tokens;
    },
  },
  "js genai": {
    client: (q) => new GoogleGenAI({ apiKey: q.key, httpOptions: { baseUrl: q.base } }),
    async ask(q) {
      const client = this.client(q);
      if (!q.ask.Stream) return geminiAnswer(await client.models.generateContent(q.native));
      const abort = new AbortController();
      let whole;
      let pieces = 0;
      for await (const frame of await client.models.generateContentStream({ ...q.native, config: { ...q.native.config, abortSignal: abort.signal } })) {
        const text = (frame.candidates?.[0]?.content?.parts ?? []).filter((p) => p.text && !p.thought).map((p) => p.text).join("");
        if (text) {
          pieces++;
          if (q.ask.Leave) {
            abort.abort();
            return { text, pieces };
          }
        }
        whole = joinGemini(whole, frame);
      }
      if (!whole?.candidates?.[0]?.finishReason) throw new Error("the stream ended without a finish reason");
      return { ...geminiAnswer(whole), pieces };
    },
    async models(q) {
      const ids = [];
      for await (const m of await this.client(q).models.list()) ids.push(m.name.replace(/^models\//, ""));
      if (ids.length) await this.client(q).models.get({ model: ids[0] });
      return ids;
    },
    async count(q) {
      return (await this.client(q).models.countTokens({ model: q.native.model, contents: q.native.contents })).totalTokens;
    },
  },
  "js ollama": {
    client: (q) => new Ollama({ host: q.base, headers: { Authorization: "Bearer " + q.key } }),
    async ask(q) {
      const client = this.client(q);
      if (!q.ask.Stream) return ollamaAnswer(await client.chat(q.native));
      const message = { role: "assistant", content: "" };
      let last;
      let pieces = 0;
      for await (const line of await client.chat(q.native)) {
        last = line;
        if (line.message.content) {
          pieces++;
          if (q.ask.Leave) {
            client.abort();
            return { text: line.message.content, pieces };
          }
          message.content += line.message.content;
        }
        if (line.message.thinking) message.thinking = (message.thinking ?? "") + line.message.thinking;
        if (line.message.tool_calls) message.tool_calls = [...(message.tool_calls ?? []), ...line.message.tool_calls];
      }
      return { ...ollamaAnswer({ ...last, message }), pieces };
    },
    async models(q) {
      const { models } = await this.client(q).list();
      if (models.length) await this.client(q).show({ model: models[0].name });
      return models.map((m) => m.name);
    },
  },
  "ai openai": {
    ask: (q) => aiAsk(q, createOpenAI({ baseURL: q.base + "/v1", apiKey: q.key }).responses(q.ask.Model)),
  },
  "ai google": {
    ask: (q) => aiAsk(q, createGoogleGenerativeAI({ baseURL: q.base + "/v1beta", apiKey: q.key })(q.ask.Model)),
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

function responsesAnswer(r) {
  const items = (type) => r.output.filter((i) => i.type === type);
  const texts = (parts) => (parts ?? []).map((p) => p.text ?? "").join("");
  const raw = r.output.map(({ parsed_arguments, ...item }) => {
    if (item.content) item.content = item.content.map(({ parsed, ...part }) => part); // the library's own additions
    return item;
  });
  const u = r.usage ?? {};
  return {
    text: items("message").map((m) => texts(m.content)).join(""), reasoning: items("reasoning").map((i) => texts(i.summary) + texts(i.content)).join(""),
    finish: r.incomplete_details?.reason ?? r.status, model: r.model, raw,
    calls: items("function_call").map((c) => ({ id: c.call_id, name: c.name, args: JSON.parse(c.arguments) })),
    in: u.input_tokens ?? 0, out: u.output_tokens ?? 0, cached: u.input_tokens_details?.cached_tokens ?? 0, thought: u.output_tokens_details?.reasoning_tokens ?? 0,
  };
}

function joinGemini(whole, frame) {
  if (!whole) return frame;
  if (frame.usageMetadata) whole.usageMetadata = frame.usageMetadata;
  for (const [i, c] of (frame.candidates ?? []).entries()) {
    whole.candidates ??= [];
    if (!whole.candidates[i]) {
      whole.candidates[i] = c;
      continue;
    }
    if (c.finishReason) whole.candidates[i].finishReason = c.finishReason;
    if (c.content?.parts) {
      whole.candidates[i].content ??= { role: "model", parts: [] };
      whole.candidates[i].content.parts = [...(whole.candidates[i].content.parts ?? []), ...c.content.parts.filter((p) => p.text !== "" || p.thoughtSignature)];
    }
  }
  return whole;
}

function geminiAnswer(r) {
  const c = r.candidates?.[0];
  if (!c?.content) throw new Error("no candidate came");
  const parts = c.content.parts ?? [];
  const u = r.usageMetadata ?? {};
  const say = (thought) => parts.filter((p) => p.text && Boolean(p.thought) === thought).map((p) => p.text).join("");
  return {
    text: say(false), reasoning: say(true), finish: c.finishReason, model: r.modelVersion, raw: { role: "model", parts },
    calls: parts.filter((p) => p.functionCall).map(({ functionCall: f }) => ({ id: f.id ?? "", name: f.name, args: f.args ?? {} })),
    in: u.promptTokenCount ?? 0, out: (u.candidatesTokenCount ?? 0) + (u.thoughtsTokenCount ?? 0), cached: u.cachedContentTokenCount ?? 0, thought: u.thoughtsTokenCount ?? 0,
  };
}

function ollamaAnswer(r) {
  const m = r.message;
  return {
    text: m.content, reasoning: m.thinking ?? "", finish: r.done_reason, model: r.model, raw: m, in: r.prompt_eval_count, out: r.eval_count,
    calls: (m.tool_calls ?? []).map((c) => ({ id: c.id ?? "", name: c.function.name, args: c.function.arguments })),
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
      openai: { store: false, ...(a.Effort ? { reasoningEffort: a.Effort, reasoningSummary: "auto", forceReasoning: true } : {}), ...(a.NoParallel ? { parallelToolCalls: false } : {}) },
      google: a.Think ? { thinkingConfig: { includeThoughts: true, thinkingBudget: a.Think } } : {},
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
