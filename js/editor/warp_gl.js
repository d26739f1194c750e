// The image warped live by WebGL 2: the loop of Eulerian Warp and Loop Blend in small. Each pixel is traced against
// the motion for t frames and along it for N - t, and both samples are mixed so that frame N equals frame 0.

/** @import { Bitmap } from "./canvas.js" */
/** @import { Size, View } from "./geometry.js" */
/** @import { MotionField } from "./motion_field.js" */
/**
 * The stage: where the image lies on it, its size in CSS pixels, and the size to draw at.
 * @typedef {Size & { view: Pick<View, "x" | "y" | "width" | "height">, box: Size }} Target
 */

const VERTEX = `#version 300 es
in vec2 corner;
out vec2 position;
void main() {
  position = vec2(corner.x, 1.0 - corner.y);
  gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);
}`;

// Differences from the local mean are divided by the root of the weights' squares, as in the contrast-keeping blend.
const FRAGMENT = `#version 300 es
precision highp float;
uniform sampler2D image;
uniform sampler2D field;
uniform float phase;
uniform float frames;
uniform vec4 rectangle;
in vec2 position;
out vec4 colour;
const int STEPS = 10;

vec2 trace(vec2 p, float time) {
  float dt = time / float(STEPS);
  for (int i = 0; i < STEPS; i++) {
    vec2 middle = p + 0.5 * dt * texture(field, p).xy;
    p += dt * texture(field, middle).xy;
  }
  return p;
}

void main() {
  vec2 p = (position - rectangle.xy) / rectangle.zw;
  if (any(lessThan(p, vec2(0.0))) || any(greaterThan(p, vec2(1.0)))) {
    colour = vec4(0.0);
    return;
  }
  float amount = smoothstep(0.02, 0.25, texture(field, p).z);
  if (amount <= 0.0) {
    colour = vec4(0.0);
    return;
  }
  vec2 q = trace(p, -phase * frames);
  vec2 r = trace(p, (1.0 - phase) * frames);
  float a = 1.0 - phase;
  vec3 mq = textureLod(image, q, 4.5).rgb;
  vec3 mr = textureLod(image, r, 4.5).rgb;
  vec3 mean = mix(mr, mq, a);
  vec3 detail = a * (texture(image, q).rgb - mq) + phase * (texture(image, r).rgb - mr);
  vec3 mixed = mean + detail / sqrt(a * a + phase * phase);
  colour = vec4(clamp(mixed, 0.0, 1.0) * amount, amount);
}`;

const NAMES = /** @type {const} */ (["image", "field", "phase", "frames", "rectangle"]);

export class GlWarp {
  /**
   * Throws if the browser has no WebGL 2 with float textures; emulated ones, which keep every core busy, do not count.
   * @param {{ emulated?: boolean }} [options]
   */
  constructor({ emulated = false } = {}) {
    this.canvas = document.createElement("canvas");
    const gl = this.canvas.getContext("webgl2", {
      premultipliedAlpha: true,
      antialias: false,
      failIfMajorPerformanceCaveat: !emulated,
    });
    if (!gl || !gl.getExtension("OES_texture_float_linear")) throw new Error("no WebGL 2");
    this.gl = gl;
    const program = buildProgram(gl);
    gl.useProgram(program);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([0, 0, 1, 0, 0, 1, 1, 1]), gl.STATIC_DRAW);
    const corner = gl.getAttribLocation(program, "corner");
    gl.enableVertexAttribArray(corner);
    gl.vertexAttribPointer(corner, 2, gl.FLOAT, false, 0, 0);
    const [image, field, phase, frames, rectangle] = NAMES.map((name) => gl.getUniformLocation(program, name));
    this.uniforms = { phase, frames, rectangle };
    gl.uniform1i(image, 0);
    gl.uniform1i(field, 1);
    this.imageTexture = gl.createTexture();
    this.fieldTexture = gl.createTexture();
  }

  /**
   * @param {number} unit
   * @param {WebGLTexture} texture
   * @param {number} minFilter
   */
  bind(unit, texture, minFilter) {
    const { gl } = this;
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.MIRRORED_REPEAT);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.MIRRORED_REPEAT);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, minFilter);
  }

  /** @param {Bitmap} source */
  setImage(source) {
    const { gl } = this;
    this.bind(0, this.imageTexture, gl.LINEAR_MIPMAP_LINEAR);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, source);
    gl.generateMipmap(gl.TEXTURE_2D);
  }

  /** @param {MotionField} field */
  setField({ columns, rows, velocity, mask }) {
    const { gl } = this;
    const data = new Float32Array(columns * rows * 4);
    for (let i = 0; i < columns * rows; i++) data.set([velocity[2 * i], velocity[2 * i + 1], mask[i], 0], 4 * i);
    this.bind(1, this.fieldTexture, gl.LINEAR);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32F, columns, rows, 0, gl.RGBA, gl.FLOAT, data);
  }

  /**
   * Draw the loop at `phase` (0..1). Returns a canvas that covers the stage.
   * @param {number} phase
   * @param {number} frames
   * @param {Target} target
   */
  draw(phase, frames, { view, box, width, height }) {
    const { gl, canvas, uniforms } = this;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform1f(uniforms.phase, phase);
    gl.uniform1f(uniforms.frames, frames);
    const { rectangle } = uniforms;
    gl.uniform4f(rectangle, view.x / box.width, view.y / box.height, view.width / box.width, view.height / box.height);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    return canvas;
  }

  release() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

/** @param {WebGL2RenderingContext} gl */
function buildProgram(gl) {
  const program = gl.createProgram();
  for (const [kind, source] of /** @type {const} */ ([[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]])) {
    const shader = gl.createShader(kind);
    if (!shader) throw new Error("WebGL makes no shader");
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? "WebGL");
  return program;
}
