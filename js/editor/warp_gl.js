// The picture warped live by WebGL 2: the loop of Eulerian Warp and Loop Blend in small. Each pixel is traced against
// the motion for t frames and along it for N - t, and both samples are mixed so that frame N equals frame 0.

const VERTEX = `#version 300 es
in vec2 corner;
out vec2 at;
void main() {
  at = vec2(corner.x, 1.0 - corner.y);
  gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);
}`;

// Differences from the local mean are divided by the root of the weights' squares, as in the contrast-keeping blend.
const FRAGMENT = `#version 300 es
precision highp float;
uniform sampler2D picture;
uniform sampler2D field;
uniform float phase;
uniform float frames;
uniform vec4 place;
in vec2 at;
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
  vec2 p = (at - place.xy) / place.zw;
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
  vec3 mq = textureLod(picture, q, 4.5).rgb;
  vec3 mr = textureLod(picture, r, 4.5).rgb;
  vec3 mean = mix(mr, mq, a);
  vec3 detail = a * (texture(picture, q).rgb - mq) + phase * (texture(picture, r).rgb - mr);
  vec3 mixed = mean + detail / sqrt(a * a + phase * phase);
  colour = vec4(clamp(mixed, 0.0, 1.0) * amount, amount);
}`;

export class GlWarp {
  /** Throws if the browser has no WebGL 2 with float textures; emulated ones, which keep every core busy, do not count. */
  constructor({ emulated = false } = {}) {
    this.canvas = document.createElement("canvas");
    const how = { premultipliedAlpha: true, antialias: false, failIfMajorPerformanceCaveat: !emulated };
    const gl = this.canvas.getContext("webgl2", how);
    if (!gl || !gl.getExtension("OES_texture_float_linear")) throw new Error("no WebGL 2");
    this.gl = gl;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    gl.useProgram(program);
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([0, 0, 1, 0, 0, 1, 1, 1]), gl.STATIC_DRAW);
    const corner = gl.getAttribLocation(program, "corner");
    gl.enableVertexAttribArray(corner);
    gl.vertexAttribPointer(corner, 2, gl.FLOAT, false, 0, 0);
    this.uniform = (name) => gl.getUniformLocation(program, name);
    gl.uniform1i(this.uniform("picture"), 0);
    gl.uniform1i(this.uniform("field"), 1);
    this.picture = gl.createTexture();
    this.fieldTexture = gl.createTexture();
  }

  bind(unit, texture, smallest) {
    const { gl } = this;
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.MIRRORED_REPEAT);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.MIRRORED_REPEAT);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, smallest);
  }

  setPicture(source) {
    const { gl } = this;
    this.bind(0, this.picture, gl.LINEAR_MIPMAP_LINEAR);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, source);
    gl.generateMipmap(gl.TEXTURE_2D);
  }

  setField({ columns, rows, velocity, mask }) {
    const { gl } = this;
    const data = new Float32Array(columns * rows * 4);
    for (let i = 0; i < columns * rows; i++) data.set([velocity[2 * i], velocity[2 * i + 1], mask[i], 0], 4 * i);
    this.bind(1, this.fieldTexture, gl.LINEAR);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32F, columns, rows, 0, gl.RGBA, gl.FLOAT, data);
  }

  /** Draw the loop at `phase` (0..1) for a stage of the given size. Returns the canvas. */
  draw(phase, frames, { view, box, width, height }) {
    const { gl, canvas } = this;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform1f(this.uniform("phase"), phase);
    gl.uniform1f(this.uniform("frames"), frames);
    const place = [view.x / box.width, view.y / box.height, view.width / box.width, view.height / box.height];
    gl.uniform4f(this.uniform("place"), ...place);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    return canvas;
  }

  release() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}
