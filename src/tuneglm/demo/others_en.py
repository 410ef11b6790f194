# fmt: off
# ruff: noqa: E501
# a table is read by its rows, however long they are
"""English questions on other things; see `topics.Theme`."""

from tuneglm.demo.topics import Theme


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


_NAMING = (
    "Give me a name for {0}.", "Suggest a name for {0}.", "What should I call {0}?", "What is a good name for {0}?", "I need a name for {0}.",
    "Think of a name for {0}.", "What would you name {0}?", "How should I name {0}?", "What should I name {0}?", "Find a name for {0}.",
    "What shall we call {0}?", "Tell me a name for {0}.", "Name {0} for me.", "Do you have a name for {0}?")
_GOODS = _list(
    "the kettle, the umbrella, the piano, the bicycle, the camera, the pencil, the elevator, the microwave, the toothbrush, the wheel, the clock, the mirror, "
    "the parachute, the helicopter, the submarine, the calculator, the satellite, the ballpoint pen, the trampoline, the escalator, the traffic light, "
    "the credit card, the crossword, the sandwich, the stapler, the skateboard, the laptop, the chair, this picture, my watch, her dress, that bridge, our car, "
    "his guitar, the film we saw, this app, this game, that statue, your favourite song, the church in our town, their new album, the soup, this map, my jacket, "
    "{x}, the {x} bridge, the game {x}, the app {x}, the {x} phone, the film {x}, the {x} tower, the {x} engine, the {x} camera, the language {x}, the car {x}, "
    "{x} shoes, that robot, the new museum, these shoes, those houses, chess, television, the railway, it, them, that, this")

THEMES_EN = (
    Theme(("Who made {0}?", "Who created {0}?", "Who built {0}?", "Who developed {0}?", "Who designed {0}?", "Who invented {0}?", "Who is behind {0}?",
           "Who is responsible for {0}?", "Tell me who made {0}.", "Do you know who built {0}?", "By whom was {0} made?", "Who owns {0}?", "Who programmed {0}?",
           "Can you tell me who invented {0}?", "Name the maker of {0}.", "Who is it that made {0}?", "Whose product is {0}?", "Who was the inventor of {0}?"),
          _GOODS, "I do not know who made that."),
    Theme(("Which company makes {0}?", "Which company made {0}?", "What company is behind {0}?", "Which company developed {0}?", "What company built {0}?",
           "Which team built {0}?", "What team made {0}?", "Which lab developed {0}?", "What organization created {0}?", "Which people made {0}?",
           "What is the name of the company that makes {0}?", "What is the name of the team that made {0}?", "Name the company behind {0}.", "Which company owns {0}?"),
          _GOODS, "I do not know who made that."),
    Theme(("Who discovered {0}?", "Who found {0}?", "Who first described {0}?", "Who was it that discovered {0}?", "Tell me who discovered {0}.", "By whom was {0} discovered?",
           "Who developed the theory of {0}?", "Who explained {0} first?"),
          _list("the planet {x}, the island {x}, levers, sound, radio waves, the atom, vitamins, the South Pole, bacteria, blood groups, that cave, the element {x}, "
                "light, heat, numbers, the stars, the lake {x}, magnetism, fire, electricity, heredity, the river {x}, tectonic plates, dreams, the {x} effect"),
          "I do not know who that was."),
    Theme(("Who wrote {0}?", "Who is the author of {0}?", "Who composed {0}?", "Who painted {0}?", "Who directed {0}?", "Who sang {0}?", "Tell me who wrote {0}.",
           "By whom was {0} written?", "Do you know who painted {0}?", "Whose work is {0}?", "Name the author of {0}.", "Which artist made {0}?"),
          _list("the book {x}, \"{x}\", {x}, the song {x}, this poem, the novel {x}, the opera {x}, that letter, the play {x}, this melody, the picture {x}, the article, "
                "the story of {x}, our textbook, the film {x}, that sign, The {x} of {x}, the report, these lines"),
          "I do not know who that was."),
    Theme(("Who {0}?", "Which company {0}?", "Which team {0}?", "What organization {0}?", "Which people {0}?", "Do you know who {0}?", "Can you tell me who {0}?", "What team {0}?",
           "Which lab {0}?", "What company {0}?"),
          _list("runs the post office, won the cup last year, sells the best bread, sponsors the race, cleans the streets, plays in blue shirts, repairs old clocks, "
                "writes the news, drives the school bus, lives next door, opened the first bank, looks after the park, checks the tickets, owns the lake, broke the window, "
                "rang the bell, came first, makes the best cheese, trains police dogs, built the oldest road, teaches dancing, flies to {x}, plays at {x}, lives in {x}, "
                "sells stamps, works at night, saved the child, called me yesterday, won against {x}, comes from {x}, wears green, founded {x}, is the strongest"),
          "I do not know who that is."),
    Theme(("Who is {0}?", "Who exactly is {0}?", "Do you know who {0} is?", "Tell me who {0} is.", "Can you tell me who {0} is?", "Who might {0} be?", "Do you know {0}?"),
          _list("the mayor of {x}, {x}, the captain of {x}, my cousin, that man, the lady in red, he, the new teacher, the king of Spain, the winner, the drummer, your best friend, "
                "my boss, the hero of {x}, the director of the film, the lead singer, the girl next door, Doctor {x}, Mrs. {x}, the tallest man, the richest woman, the coach, "
                "our landlord, the inventor of {x}, the owner of {x}, the villain in {x}, it, {x} {x}, the man with the hat, his wife, the maker of this lamp"),
          "I do not know who that is."),
    Theme(("What is {0} called?", "What do people call {0}?", "What do you call {0}?", "What is the name of {0}?", "Do you know the name of {0}?", "Tell me the name of {0}.",
           "What name does {0} have?", "What name does {0} go by?", "How do people call {0}?", "Tell me what {0} is called.", "Which name does {0} use?"),
          _list("a female deer, a group of geese, the study of plants, the smallest country, the coldest place, the moon of Mars, a person who sells meat, the fear of water, "
                "the hat of a cook, the lake near {x}, the river in {x}, the mountain behind {x}, my street, our neighbour, his sister, that star, the ship of {x}, the horse of {x}, "
                "the school on the hill, the wife of the king, the band on the radio, the dog next door, that blue flower, this tool, this dance, the largest island, "
                "the deepest lake, the street where {x} lives, the park in {x}, the fastest bird, their cat, the biggest city in {x}, this song, the boy over there"),
          "I do not know what that is called."),
    Theme(("What is your favourite {0}?", "What's your favorite {0}?", "Do you have a favourite {0}?", "Tell me your favourite {0}.", "Which {0} do you like best?", "Name your favourite {0}."),
          _list("dish, book, tree, band, dance, fruit, country, language, month, painting, tool, smell, car, place, dessert, river, bird, shop, poet, letter, day, actor, story, sound"),
          "I have no favourite. What is yours?"),
    Theme(("What is your {0}?", "Tell me your {0}.", "May I know your {0}?", "Could you tell me your {0}?", "Give me your {0}.", "What's your {0}?", "I would like to know your {0}."),
          _list("age, address, phone number, height, shoe size, birthday, hobby, plan, opinion, idea, secret, password, dream, goal, answer, advice for me, plan for tomorrow, "
                "view on this, reason, wish, problem, weight, lucky number, problem with him, secret wish, mood, tip for the test, opinion of {x}"),
          "I do not have one."),
    Theme(("Do you like {0}?", "What do you think of {0}?", "How do you feel about {0}?", "Do you enjoy {0}?", "Are you interested in {0}?", "What is your opinion on {0}?", "Do you believe in {0}?"),
          _list("spring, soup, tennis, long walks, old films, jazz, dogs, mathematics, {x}, small towns, the sea, snow, tea, money, politics, dancing, museums, the new bridge, my hat, "
                "work, luck, ghosts, cold weather, spicy food, loud music, reading, the king, people, school"),
          "I have no opinion on that. What do you think?"),
    Theme(("Can you {0}?", "Could you {0}?", "Are you able to {0}?", "Do you know how to {0}?", "Will you {0}?", "Please {0}.", "I want you to {0}."),
          _list("dance, ski, drive a car, cook rice, paint a wall, read my letter, open the door, wash the dishes, play cards, book a flight, call my mother, ride a horse, run a shop, "
                "fix my roof, draw a map, check my spelling, climb a tree, find my keys, send a parcel, turn on the light, make coffee for {x}, visit {x}, buy milk, translate this page, "
                "wake me at six, teach me Latin, lend me a pen"),
          "I have not learnt that yet."),
    Theme(("Are you {0}?", "Do you feel {0}?", "Were you {0} today?", "Are you often {0}?"),
          _list("tired, hungry, angry, cold, lonely, afraid, sad, bored, proud, nervous, thirsty, ill, in love, surprised, jealous, sleepy, lazy, worried"),
          "No, a program does not feel that."),
    Theme(("Do you have {0}?", "Have you got {0}?", "Do you need {0}?", "Do you want {0}?", "Would you like {0}?"),
          _list("a car, a garden, a sister, children, a watch, a key, a bicycle, a phone, parents, a pen, money, a cat, a boat, a house, new shoes, a coat, a job at {x}, an umbrella, a ticket, sweets"),
          "No, I do not have that and do not need it."),
    Theme(_NAMING, _list("a duck, a grey pony, our cow, the new calf, a canary, my snake, a pet spider, our old dog, a donkey, a frog, a mouse, a squirrel, a pig, a lamb, my pet, "
                         "the neighbour's dog, a goat, a young owl, a crab, two rabbits, a little bear, our goose, a zebra"), "How about Sunny?"),
    Theme(_NAMING, _list("my son, a princess, the hero of my story, a witch, a knight, a clown, our daughter, twins, a wizard, a pirate, a singer, a detective, my baby, a fairy, a queen, "
                         "a boy in my novel, a girl from {x}, an old sailor, a doll, a spy, the bad guy"), "How about Lena?"),
    Theme(_NAMING, _list("my shop, a ship, a team, our band, a cafe, a garden, a farm, a village, a magazine, a game, my blog, a song, a train, a cake, a school, a car, a club, a choir, "
                         "a start-up, a restaurant, a hair salon, a newspaper, our product, an island, a bank in {x}, a perfume, a website, my truck, a film, a theatre, this project, a new business"),
          "How about Silver Lake?"),
    Theme(("Where does {0} come from?", "Where is {0} from?", "How is {0} made?", "What is {0} made of?", "Where do people get {0}?", "Where can I find {0}?", "Where was {0} first made?"),
          _list("tea, cotton, sugar, steel, gold, rice, cheese, leather, butter, bread, oil, pepper, concrete, wine, cork, the word {x}, the name {x}, ink, wax, porcelain, {x}, this song, "
                "the flag, my coat, the custom, thunder, dust, the singer {x}, that accent, he, she, this cake"),
          "I do not know where that comes from."),
    Theme(("What does {0} do?", "What does {0} make?", "What is the job of {0}?", "Describe the work of {0}.", "What does {0} need?", "What does {0} eat?"),
          _list("a baker, a tailor, a potter, a carpenter, a farmer, a dentist, a miner, a sailor, an actor, a jeweller, a barber, a gardener, a waiter, a spider, a printer, a welder, a lawyer, "
                "a beaver, the company {x}, a mayor, a whale, {x}"),
          "I do not know enough about that."),
    Theme(("Introduce {0}.", "Describe {0}.", "Tell me about {0}.", "Say something about {0}.", "I want to know about {0}.", "Tell me more about {0}.", "Explain {0}.", "What is {0}?",
           "Give a short introduction of {0}.", "Let me get to know {0}.", "What do you know about {0}?", "Please introduce {0}.", "Can you introduce {0}?", "Describe {0} in one sentence."),
          _list("the city of {x}, {x}, my town, honey, the desert, opera, the river {x}, bridges, your country, the human eye, wind power, ballet, the Middle Ages, the number zero, tea, "
                "the company {x}, that painter, our teacher, the king, a robot, modern art, the brain, the weather in {x}, insects, the game {x}, a laptop, software, the team of {x}"),
          "I do not know enough about that."),
    Theme(("Where is {0}?", "How far is {0}?", "How old is {0}?", "How big is {0}?", "When was {0} built?", "How do I get to {0}?", "How tall is {0}?", "What is the highest point of {0}?", "Which team plays at {0}?"),
          _list("the {x} tower, {x}, the station, the lake {x}, my school, the next shop, the old castle, {x} Hall, the bridge of {x}, your house, the museum, the port of {x}, the stadium, {x} Park"),
          "I do not know that."),
    Theme(("Write {0}.", "Please write {0}.", "Make up {0}.", "Can you write {0}?", "I need {0}.", "Compose {0}.", "Give me {0}.", "Tell me {0}."),
          _list("a poem about rain, a sentence about the moon, a letter to my friend, a tale about a dragon, a slogan for a bank, a speech for a birthday, a line about cats, a short essay, "
                "a note for {x}, a song about home, a sentence with three verbs, a report on {x}, a rhyme, a message to my boss, a few words about love, a headline, an invitation, "
                "a sentence about a mountain, a tale of two brothers"),
          "I cannot write that yet."),
    Theme(("What should I {0}?", "What can I {0}?", "Tell me what to {0}.", "What would you {0}?", "Any idea what to {0}?", "Help me decide what to {0}."),
          _list("eat, wear today, buy, say to my boss, do this summer, paint, sing, draw, cook for lunch, take along, do first, ask, visit in {x}, see, play, give my sister, order, build, "
                "study tonight, write to {x}, bring to the party, do about it, watch with the children"),
          "I have no good idea for that."),
    Theme(("Recommend {0}.", "Suggest {0}.", "Can you suggest {0}?", "Do you know {0}?", "I am looking for {0}.", "Propose {0}."),
          _list("a good book, a film about war, a gift for him, a dish without meat, a place to eat in {x}, a song for a party, a game for two, a hobby, a title for my essay, a cheap hotel, "
                "a colour for my room, a present, a cure for a cold, a topic"),
          "I have no good idea for that."),
    Theme(("Name {0}.", "List {0}.", "Tell me {0}.", "Give me {0}.", "Say {0}.", "Can you name {0}?"),
          _list("three birds, an animal with stripes, a vegetable that is green, four tools, a river in Asia, a word with z, five friends, a famous singer, a red flower, a hot drink, two kings, "
                "a company in {x}, a thing that flies, six cheeses, a city by a lake, an actor, a sport with a ball, something that is round, a brand of cars, the parts of a plant"),
          "I do not know that."),
    Theme(("How do I {0}?", "How can I {0}?", "Show me how to {0}.", "What is the best way to {0}?", "How does one {0}?", "How do you {0}?"),
          _list("bake a cake, tie a knot, clean a carpet, grow roses, open a bank account, fix a chair, learn French, catch a fish, build a fence, lose weight, write a letter, cut glass, "
                "call a doctor, get to {x}, name a variable, greet a king, address a judge, make a fire, cook an egg well, sell a car"),
          "I do not know how that is done."),
    Theme(("{0}?", "Tell me: {0}?", "Do you know this: {0}?"),
          _list("why is grass green, when did {x} end, how many people live in {x}, how much does a horse cost, why do leaves fall, what is his name, what are their names, what is her job, "
                "what is that called, who are they, who is there, who is next, which one is better, when does the train leave, what is the time in {x}, why is he late, who won, is it far, "
                "how long is a marathon, what does {x} mean, what does the name {x} mean, how heavy is gold, who named this town, what is new, what happened in {x}, is {x} a fruit, "
                "how deep is the sea, why do dogs bark, what is the largest number, who is right, whose bag is this, which of them is yours, what is the most common surname, where are they"),
          "I do not know that."),
    Theme(("What is my {0}?", "Tell me my {0}.", "Do you know my {0}?", "Can you guess my {0}?", "What's my {0}?"),
          _list("shoe size, height, phone number, birthday, dog's name, sister's name, hometown, best friend, password, bank, car, surname, plan, middle name, shirt size, doctor's name"),
          "I do not know your {0}: you have not told me."),
    Theme(("{0}.", "{0}!", "You know, {0}."),
          _list("I like apples, the sun is shining, my brother lives in {x}, we won the game, I bought a hat, he came late, it is raining, this is my house, I work in a shop, she is my friend, "
                "I read a book, the soup is hot, they sing well, I have two cats, tomorrow I go to {x}, that was easy, my car is old, dinner is ready"),
          "Thank you for telling me."),
)
