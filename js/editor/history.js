// Undo and redo over texts: each is a whole state of the hints.

const MOST = 200;

export class History {
  constructor(text) {
    this.reset(text);
  }

  reset(text) {
    this.states = [text];
    this.at = 0;
  }

  get current() {
    return this.states[this.at];
  }

  get canUndo() {
    return this.at > 0;
  }

  get canRedo() {
    return this.at + 1 < this.states.length;
  }

  push(text) {
    if (text === this.current) return;
    this.states = [...this.states.slice(0, this.at + 1), text].slice(-MOST);
    this.at = this.states.length - 1;
  }

  undo() {
    if (this.canUndo) this.at -= 1;
    return this.current;
  }

  redo() {
    if (this.canRedo) this.at += 1;
    return this.current;
  }
}
