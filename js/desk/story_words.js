// Every word that the desk shows, in the languages of the pack, and which of them ComfyUI is set to.

/** @typedef {keyof typeof EN} Word */

export const EN = {
  timeline: "Timeline",
  text: "Text",
  storyboard: "Storyboard",
  strip: "Lines of the storyboard",
  seconds: "{n}s",
  chunk: "chunk {first}",
  chunks: "chunks {first}–{last}",
  // what a line is
  empty: "no words: it follows what came before",
  goes_on: "goes on",
  continue: "Continue",
  new_shot: "New shot",
  restyle: "Restyle",
  cut: "Cut",
  continue_help: "Goes on from the chunks before.",
  new_shot_help: "Another view of the same subjects.",
  restyle_help: "The same layout with other details.",
  cut_help: "A hard cut: nothing behind it sees what was before.",
  reroll: "Reroll",
  reroll_help: "Other noise for this line: the seed plus this number.",
  echo: "Echo",
  echo_help: "Sees across the cuts before it.",
  tokens: "Tokens",
  tokens_help: "Special tokens in place of the sampler's.",
  tokens_settings: "As in the sampler",
  tokens_own: "These:",
  ranges: "Ranges",
  ranges_help: "How many chunks it sees, from noisy to clean: 1, 1, 3, 2. Empty: by its transition.",
  ranges_wrong: "Ranges are whole numbers from 1 on, with commas: 1, 1, 3, 2",
  transition: "Follows by",
  HQ: "High quality",
  THREE_D_MODEL: "3-D",
  TWO_D_ANIME: "2-D animation",
  STATIC_FIRST_FRAMES: "Still start",
  DYNAMIC_FIRST_FRAMES: "Moving start",
  BORDERNESS: "Borders",
  // what can be done
  prompt: "Prompt of {where}",
  direct: "Direct {where}",
  edit: "Edit the words",
  direct_menu: "Direct…",
  add: "Add a line behind",
  add_before: "Insert a line before",
  split: "Split at the playhead",
  duplicate: "Duplicate",
  remove: "Delete",
  copy: "Copy",
  paste: "Paste",
  longer: "One chunk longer",
  shorter: "One chunk shorter",
  earlier: "Move earlier",
  later: "Move later",
  reroll_once: "Reroll",
  undo: "Undo",
  redo: "Redo",
  narrower: "Zoom out",
  wider: "Zoom in",
  fit: "Show all",
  stretch: "Drag to stretch: what follows moves along",
  done: "Done",
  keys: "Arrows move, Enter edits, Delete removes; , and . step the playhead, S splits, + and - stretch, M directs.",
  // what is said below
  length: "{chunks} chunks, {time}",
  one_chunk: "1 chunk, {time}",
  plan_exact: "{made}: {cost} chunk-forwards",
  plan_at_most: "{made}: at most {cost} chunk-forwards",
  plan_seconds: ", about {time}",
  plan_known: "; {known} from memory",
  plan_nothing: "Nothing is made: all {chunks} chunks are there",
  kept: "{chunks} kept",
  asking: "…",
  stale_edit: "Changed: {chunks} will be made again",
  stale_move: "Noise belongs to the place in the video: {chunks} will be made again",
  stale_none: "Nothing has to be made again",
  no_sampler: "Not connected to a sampler",
  price_unknown: "The price is not known: {why}",
  not_read: "The text cannot be read, so the timeline shows it as it was",
  at_line: "Line {line}: {message}",
  linked: "The text comes from another node, so it cannot be edited here.",
  no_answer: "ComfyUI does not answer: the edit is not in the text yet",
  not_pasted: "Not pasted: {why}",
  copied: "{n} lines copied",
  pasted: "{n} lines pasted",
  undone: "Undone",
  redone: "Redone",
  last_line: "The last line stays: a storyboard has at least one",
}

/** @type {Record<Word, string>} */
export const ZH = {
  timeline: "时间线",
  text: "文本",
  storyboard: "分镜",
  strip: "分镜的各行",
  seconds: "{n}秒",
  chunk: "片段 {first}",
  chunks: "片段 {first}–{last}",
  empty: "没有文字：延续前面的内容",
  goes_on: "延续",
  continue: "延续",
  new_shot: "新镜头",
  restyle: "换风格",
  cut: "硬切",
  continue_help: "从前面的片段接着进行。",
  new_shot_help: "同样的主体，另一个视角。",
  restyle_help: "同样的构图，不同的细节。",
  cut_help: "硬切：其后的内容看不到之前的画面。",
  reroll: "重掷",
  reroll_help: "为这一行换噪声：种子加上这个数。",
  echo: "回望",
  echo_help: "可以越过之前的硬切看到更早的画面。",
  tokens: "标记",
  tokens_help: "用这些特殊标记代替采样器的设置。",
  tokens_settings: "与采样器相同",
  tokens_own: "使用：",
  ranges: "范围",
  ranges_help: "从噪到净各阶段能看到多少片段：1, 1, 3, 2。留空则由过渡决定。",
  ranges_wrong: "范围是从 1 起的整数，用逗号分隔：1, 1, 3, 2",
  transition: "衔接方式",
  HQ: "高质量",
  THREE_D_MODEL: "三维",
  TWO_D_ANIME: "二维动画",
  STATIC_FIRST_FRAMES: "静止开场",
  DYNAMIC_FIRST_FRAMES: "运动开场",
  BORDERNESS: "黑边",
  prompt: "{where} 的提示词",
  direct: "指导 {where}",
  edit: "编辑文字",
  direct_menu: "指导…",
  add: "在后面加一行",
  add_before: "在前面插入一行",
  split: "在播放头处拆分",
  duplicate: "复制一份",
  remove: "删除",
  copy: "复制",
  paste: "粘贴",
  longer: "延长一个片段",
  shorter: "缩短一个片段",
  earlier: "前移",
  later: "后移",
  reroll_once: "重掷",
  undo: "撤销",
  redo: "重做",
  narrower: "缩小",
  wider: "放大",
  fit: "显示全部",
  stretch: "拖动以伸缩：后面的内容随之移动",
  done: "完成",
  keys: "方向键移动，回车编辑，Delete 删除；, 和 . 移动播放头,S 拆分,+ 和 - 伸缩,M 指导。",
  length: "{chunks} 个片段，{time}",
  one_chunk: "1 个片段，{time}",
  plan_exact: "{made}：{cost} 次片段前向",
  plan_at_most: "{made}：最多 {cost} 次片段前向",
  plan_seconds: "，约 {time}",
  plan_known: "；{known} 来自记忆",
  plan_nothing: "无需生成：全部 {chunks} 个片段都已存在",
  kept: "{chunks} 保留",
  asking: "…",
  stale_edit: "已修改：{chunks} 将重新生成",
  stale_move: "噪声属于视频中的位置：{chunks} 将重新生成",
  stale_none: "无需重新生成",
  no_sampler: "没有连接采样器",
  price_unknown: "费用未知：{why}",
  not_read: "文本无法读取，时间线保持原样",
  at_line: "第 {line} 行：{message}",
  linked: "文本来自另一个节点，无法在此编辑。",
  no_answer: "ComfyUI 没有回应：修改尚未写入文本",
  not_pasted: "未粘贴：{why}",
  copied: "已复制 {n} 行",
  pasted: "已粘贴 {n} 行",
  undone: "已撤销",
  redone: "已重做",
  last_line: "最后一行保留：分镜至少有一行",
}

/** @type {() => string} */
let locale = () => "en"

/**
 * Where the language is asked for, each time: it can be changed while ComfyUI runs.
 * @param {() => string} asked such as "en", "zh" or "zh-TW"
 */
export function speak(asked) {
  locale = asked
}

/**
 * What the desk says, in the language of the frontend.
 * @param {Word} word
 * @param {Record<string, string | number>} [values] for what stands in braces
 */
export function words(word, values = {}) {
  const text = (locale().startsWith("zh") ? ZH : EN)[word]
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole))
}

/**
 * "chunk 3" or "chunks 3–5".
 * @param {number} first
 * @param {number} last
 */
export function placeInWords(first, last) {
  return words(first === last ? "chunk" : "chunks", { first, last })
}
