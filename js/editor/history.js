// Undo and redo over texts: each is a whole state of the hints.

const MAX_STATES = 200;

export class History {
  /** @param {string} text */
  constructor(text) {
    this.states = [text];
    this.index = 0;
  }

  get current() {
    return this.states[this.index];
  }

  get canUndo() {
    return this.index > 0;
  }

  get canRedo() {
    return this.index + 1 < this.states.length;
  }

  /** @param {string} text */
  push(text) {
    if (text === this.current) return;
    this.states = [...this.states.slice(0, this.index + 1), text].slice(-MAX_STATES);
    this.index = this.states.length - 1;
  }

  undo() {
    if (this.canUndo) this.index -= 1;
    return this.current;
  }

  redo() {
    if (this.canRedo) this.index += 1;
    return this.current;
  }
}
