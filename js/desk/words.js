// What cells, the strip of nodes that sample and the player say; the timeline's words are in story_words.js.

const EN = {
  // one cell
  "chunk": "chunk {index}",
  "planned": "to make",
  "queued": "queued",
  "denoising": "denoising, stage {stage} of {stages}",
  "done": "done",
  "remembered": "remembered: costs nothing",
  "kept": "kept from before",
  "failed": "failed",
  "lost": "must be made again to be seen",
  "stale": "stale: not what is asked for now",
  "maybe stale": "may be stale: what comes before is not made yet",
  // a strip
  "strip": "chunks of {node}",
  "time left": "{time} left",
  "estimating": "making chunks",
  "interrupted": "interrupted: what is done is remembered",
  "all there": "all there: the next run costs nothing",
  "cost": "{count} to make: {cost} chunk-forwards",
  "cost at most": "{count} to make: at most {cost} chunk-forwards",
  "about": "about {time}",
  "seconds": "{s} s",
  "minutes": "{m} min {s} s",
  "hours": "{h} h {m} min",
  // the player
  "player": "Player",
  "play": "Play",
  "pause": "Pause",
  "play all": "Play all",
  "close": "Close",
  "previous": "Previous chunk",
  "next": "Next chunk",
  "mute": "Mute",
  "time": "Time",
  "nothing to play": "There is nothing to play here yet.",
}

/** @type {Record<keyof typeof EN, string>} */
const ZH = {
  "chunk": "片段 {index}",
  "planned": "待生成",
  "queued": "排队中",
  "denoising": "降噪中，第 {stage} 阶段，共 {stages} 阶段",
  "done": "已完成",
  "remembered": "已记住：不花时间",
  "kept": "保留自之前",
  "failed": "失败",
  "lost": "需重新生成才能观看",
  "stale": "已过时：与当前要求不符",
  "maybe stale": "可能已过时：之前的内容尚未生成",
  "strip": "{node} 的片段",
  "time left": "还剩 {time}",
  "estimating": "正在生成片段",
  "interrupted": "已中断：完成的部分已记住",
  "all there": "全部就绪：下次运行不花时间",
  "cost": "待生成 {count}：{cost} 次片段前向",
  "cost at most": "待生成 {count}：最多 {cost} 次片段前向",
  "about": "约 {time}",
  "seconds": "{s} 秒",
  "minutes": "{m} 分 {s} 秒",
  "hours": "{h} 小时 {m} 分",
  "player": "播放器",
  "play": "播放",
  "pause": "暂停",
  "play all": "全部播放",
  "close": "关闭",
  "previous": "上一片段",
  "next": "下一片段",
  "mute": "静音",
  "time": "时间",
  "nothing to play": "这里还没有可播放的内容。",
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
 * @param {keyof typeof EN} what
 * @param {Readonly<Record<string, string | number>>} [values] for the places in braces
 */
export function say(what, values = {}) {
  return inLanguage(EN, ZH, what, values)
}

/**
 * The same out of the words of a part of the desk.
 * @template {string} W
 * @param {Readonly<Record<W, string>>} en
 * @param {Readonly<Record<W, string>>} zh
 * @param {W} what
 * @param {Readonly<Record<string, string | number>>} values
 */
export function inLanguage(en, zh, what, values) {
  const said = (locale().startsWith("zh") ? zh : en)[what]
  return said.replace(/\{(\w+)\}/g, (place, name) => String(values[name] ?? place))
}

/**
 * A duration as one says it: two places at most.
 * @param {number} seconds
 */
export function duration(seconds) {
  const whole = Math.max(1, Math.round(seconds))
  if (whole < 60) return say("seconds", { s: whole })
  if (whole < 3600) return say("minutes", { m: Math.floor(whole / 60), s: whole % 60 })
  const minutes = Math.round(whole / 60)
  return say("hours", { h: Math.floor(minutes / 60), m: minutes % 60 })
}
